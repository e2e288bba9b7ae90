-- Reads the newest checkpoint with the pages of its lists and none of their items. ARGV: ttl, now, thread, ns.
-- Returns false, or {id, record, {page's reference, page, …}}.
local ns = ARGV[4]
local id = redis.call('HGET', STATE, 'h' .. ns)
local record = id and redis.call('HGET', STATE, field('c', ns, id))
if not record then return false end
was_read()
local found = {}
each_ref(record_head(record).refs, function(ref)
  while ref and is_page(ref) do
    local page = redis.call('HGET', STATE, ref)
    if not page then return end
    found[#found + 1], found[#found + 2] = ref, page
    ref = #page >= REF and string.sub(page, 1, REF)  -- the page before, unless it is an item
  end
end)
return { id, record, found }
