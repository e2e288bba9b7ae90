-- Stores a checkpoint. ARGV: ttl, now, thread, ns, id, record, step, counts (JSON), '1' if it must continue the newest of
-- its namespace, fence, then fields to store.
-- Returns {how many checkpoints there are but for those that a sweep left beyond its number}; with nothing changed {0} if
-- the server lacks something that was not sent, {-1, id of the newest} if that is not its parent, {-2} if the writer's
-- lease has gone to another.
if is_superseded(ARGV[10]) then return { -2 } end
local ns, id, record = ARGV[4], ARGV[5], ARGV[6]
local name, head = field('c', ns, id), record_head(record)
local newest = redis.call('HGET', STATE, 'h' .. ns)
-- A client that lost the answer sends the same checkpoint again.
if ARGV[9] == '1' and newest and newest ~= head.parent and redis.call('HEXISTS', STATE, name) == 0 then
  return { -1, newest }
end
if not store(11, head.refs) then return { 0 } end
if set(name, record) then redis.call('HINCRBY', STATE, '@checkpoints', 1) end

-- The head never moves back: a late or repeated write of an older checkpoint is stored beside it.
-- But a run that goes on from it is what comes next, even if it is of a worker whose clock is behind.
if not newest or not later(newest, id) or (ARGV[9] == '1' and newest == head.parent) then
  set('h' .. ns, id)
  if ns == '' then redis.call('HMSET', STATE, '@step', ARGV[7], '@counts', ARGV[8]) end
end
wrote_under(ARGV[10])
wrote()
local counted = redis.call('HMGET', STATE, '@checkpoints', '@beyond')
return { math.max(1, counted[1] - (counted[2] or 0)) }
