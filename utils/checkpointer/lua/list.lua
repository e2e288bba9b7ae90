-- Reads a batch of checkpoints, newest first. ARGV: ttl, now, thread, '1' if ns counts, ns, id or '', before or '',
-- last id and ns of the batch before or '' '', how many.
-- Returns {{ns, id, record, log of writes}, …}, and {reference, value, …}: what several share comes once.
local by_ns, ns, only, before, last_id, last_ns, limit =
  ARGV[4] == '1', ARGV[5], ARGV[6], ARGV[7], ARGV[8], ARGV[9], tonumber(ARGV[10])

local function newer(a, b)
  if a.id ~= b.id then return later(a.id, b.id) end
  return later(a.ns, b.ns)
end

local function wanted(entry)
  if by_ns and entry.ns ~= ns then return false end
  if only ~= '' and entry.id ~= only then return false end
  if before ~= '' and not later(before, entry.id) then return false end
  return last_id == '' or newer({ id = last_id, ns = last_ns }, entry)
end

-- The newest `limit` of them, kept sorted: cheaper than sorting all for a short list.
local best = {}
for _, name in ipairs(redis.call('HKEYS', STATE)) do
  if string.byte(name) == 99 then  -- 'c'
    local nul = string.find(name, '%z')
    local entry = { ns = string.sub(name, 2, nul - 1), id = string.sub(name, nul + 1) }
    if wanted(entry) and (#best < limit or newer(entry, best[#best])) then
      local at = #best
      while at > 0 and newer(entry, best[at]) do at = at - 1 end
      table.insert(best, at + 1, entry)
      if #best > limit then table.remove(best) end
    end
  end
end

local rows, found, seen = {}, {}, {}
for _, entry in ipairs(best) do
  local record = redis.call('HGET', STATE, field('c', entry.ns, entry.id))
  local log = redis.call('HGET', STATE, field('w', entry.ns, entry.id)) or ''
  rows[#rows + 1] = { entry.ns, entry.id, record, log }
  -- A row that cannot be parsed is for the reader to report; it must not hide the others.
  if pcall(function() collect(record_head(record).refs, found, seen) end) then
    pcall(function() collect(log_refs(log), found, seen) end)
  end
end
if #rows > 0 then was_read() end
return { rows, found }
