-- Says that a worker still works on its runs. KEYS: the runs under way, then runs and their events in pairs. ARGV: ms to keep
-- them, ms until they count as abandoned, who asks, then their ids.
-- Returns for each what append.lua would.
local time = redis.call('TIME')
local abandoned_at = time[1] * 1000 + math.floor(time[2] / 1000) + ARGV[2]
local states = {}
for i = 4, #ARGV do
  local run, events = KEYS[2 * (i - 3)], KEYS[2 * (i - 3) + 1]
  local owner, status, deleted = unpack(redis.call('HMGET', run, 'owner', 'status', 'deleted'))
  if deleted then
    states[#states + 1] = 0
  elseif owner == ARGV[3] then
    -- Its end may have overtaken this call: put back among those under way, another worker would go on with it.
    if status == 'running' then redis.call('ZADD', KEYS[1], abandoned_at, ARGV[i]) end
    redis.call('PEXPIRE', run, ARGV[1])
    redis.call('PEXPIRE', events, ARGV[1])
    states[#states + 1] = redis.call('HEXISTS', run, 'cancelled') == 1 and 0 or 1
  else
    states[#states + 1] = owner and -1 or -2
  end
end
return states
