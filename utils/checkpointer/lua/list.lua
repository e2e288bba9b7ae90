-- Reads a batch of checkpoints, newest first. ARGV: ttl, now, thread, '1' if ns counts, ns, id or '', before or '',
-- last id and ns of the batch before or '' '', how many.
-- Returns {{ns, id, record, log of writes}, …}, and {reference, value, …}: what several share comes once.
local by_ns, ns, only, before, last_id, last_ns, limit =
  ARGV[4] == '1', ARGV[5], ARGV[6], ARGV[7], ARGV[8], ARGV[9], tonumber(ARGV[10])

local last = last_id ~= '' and entry_of(field('c', last_ns, last_id))
local until_id = before ~= '' and entry_of(field('c', '', before))

local function wanted(entry)
  if by_ns and ns_of(entry) ~= ns then return false end
  if only ~= '' and id_of(entry) ~= only then return false end
  if until_id and not newer(until_id, entry) then return false end
  return not last or newer(last, entry)
end

-- The newest `limit` of them, kept sorted: cheaper than sorting all for a short list.
local best = {}
for _, name in ipairs(redis.call('HKEYS', STATE)) do
  if string.byte(name) == 99 then  -- 'c'
    local entry = entry_of(name)
    if (#best < limit or newer(entry, best[#best])) and wanted(entry) then
      local at = #best
      while at > 0 and newer(entry, best[at]) do at = at - 1 end
      table.insert(best, at + 1, entry)
      if #best > limit then table.remove(best) end
    end
  end
end

local rows, found, seen = {}, {}, {}
for _, entry in ipairs(best) do
  local record = redis.call('HGET', STATE, entry.name)
  local log = redis.call('HGET', STATE, 'w' .. string.sub(entry.name, 2)) or ''
  rows[#rows + 1] = { ns_of(entry), id_of(entry), record, log }
  -- A row that cannot be parsed is for the reader to report; it must not hide the others.
  if pcall(function() collect(record_head(record).refs, found, seen) end) then
    pcall(function() collect(log_refs(log), found, seen) end)
  end
end
if #rows > 0 then was_read() end
return { rows, found }
