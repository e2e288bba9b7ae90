-- Stores a checkpoint. ARGV: ttl, now, thread, ns, id, record, step, counts (JSON), then fields to store.
-- Returns 1, or 0 with nothing changed if the server lacks something that was not sent.
local ns, id, record = ARGV[4], ARGV[5], ARGV[6]
if not store(9, record_head(record).refs) then return 0 end
if set(field('c', ns, id), record) then redis.call('HINCRBY', STATE, '@checkpoints', 1) end

-- The head never moves back: a late or repeated write of an older checkpoint is stored beside it.
local head = redis.call('HGET', STATE, 'h' .. ns)
if not head or not later(head, id) then
  set('h' .. ns, id)
  if ns == '' then redis.call('HMSET', STATE, '@step', ARGV[7], '@counts', ARGV[8]) end
end
wrote()
return 1
