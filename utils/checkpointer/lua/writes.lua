-- Appends to the log of pending writes of a checkpoint. ARGV: ttl, now, thread, ns, id, refs, frame, fence, then fields to
-- store.
-- Appending is all that concurrent tasks need; the reader resolves repetitions. Returns {1}, or {0} and
-- {-2} as put.lua does.
local name, frame = field('w', ARGV[4], ARGV[5]), ARGV[7]
if is_superseded(ARGV[8]) then return { -2 } end
if not store(9, ARGV[6]) then return { 0 } end
local log = redis.call('HGET', STATE, name) or ''
-- A client that lost the answer sends the same frame again.
if string.sub(log, -#frame) ~= frame then set(name, log .. frame) end
wrote_under(ARGV[8])
wrote()
return { 1 }
