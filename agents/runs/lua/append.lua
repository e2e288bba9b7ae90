-- Adds events to a run. KEYS: the run, its events, the runs under way, its turns, the turns that wait to be written to SQL.
-- ARGV: ms to keep both, id, who asks, number of the last of the events, the events (may be empty), the status it ends with
-- (empty: it goes on), number of the last event that this worker has added before, or 0; the turn, where it is to be written
-- to SQL (else empty), ms to keep it, how many may wait, ms until another worker may write it, when it was asked.
-- Returns 1; 2 if it has ended and its turn is not to be written, because too many wait; 0 if it is wanted no more; -1 if
-- another worker has it; -2 if there is no such run, -3 if events that were added before are not there any more: a Redis that
-- starts again may have lost its last second.
local owner, last, deleted = unpack(redis.call('HMGET', KEYS[1], 'owner', 'last', 'deleted'))
if deleted then return 0 end
if not owner then return -2 end
if owner ~= ARGV[3] then return -1 end
if ARGV[5] ~= '' then
  if tonumber(last or '0') < tonumber(ARGV[7]) then return -3 end
  redis.call('HSET', KEYS[1], 'last', ARGV[4])
  local added = redis.pcall('XADD', KEYS[2], ARGV[4] .. '-0', 'e', ARGV[5])
  -- A worker that lost the answer sends the same events again.
  if type(added) == 'table' and added.err and not string.find(added.err, 'equal or smaller') then return added end
end
if ARGV[6] ~= '' then
  redis.call('HSET', KEYS[1], 'status', ARGV[6])
  redis.call('ZREM', KEYS[3], ARGV[2])
end
redis.call('PEXPIRE', KEYS[1], ARGV[1])
redis.call('PEXPIRE', KEYS[2], ARGV[1])
if ARGV[8] ~= '' then
  if redis.call('ZCARD', KEYS[5]) >= tonumber(ARGV[10]) then return 2 end
  redis.call('HSET', KEYS[4], ARGV[12], ARGV[8])
  redis.call('PEXPIRE', KEYS[4], ARGV[9])
  local time = redis.call('TIME')
  redis.call('ZADD', KEYS[5], time[1] * 1000 + math.floor(time[2] / 1000) + ARGV[11], ARGV[2])
  redis.call('PEXPIRE', KEYS[5], ARGV[9])
end
return redis.call('HEXISTS', KEYS[1], 'cancelled') == 1 and 0 or 1
