-- Reads one checkpoint. ARGV: ttl, now, thread, ns, id or '' for the newest, references that
-- the client has, with everything behind them.
-- Returns false, or {id, record, log of writes, {reference, value, …}}.
local ns, id = ARGV[4], ARGV[5]
if id == '' then id = redis.call('HGET', STATE, 'h' .. ns) end
local record = id and redis.call('HGET', STATE, field('c', ns, id))
if not record then return false end
was_read()
local log = redis.call('HGET', STATE, field('w', ns, id)) or ''
local found, seen = {}, {}
each_ref(ARGV[6], function(ref) seen[ref] = true end)
collect(record_head(record).refs, found, seen)
collect(log_refs(log), found, seen)
return { id, record, log, found }
