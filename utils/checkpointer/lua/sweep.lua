-- Removes checkpoints and whatever only they referred to. ARGV: ttl, now, thread, then
--   'latest'          keep the newest of each namespace, and the ancestors its delta channels are rebuilt from
--   'runs', id, …     remove the checkpoints of these runs
-- Upkeep is not use: what both keys have left is not changed. Returns how many checkpoints went.
local mode = ARGV[4]
local records, heads, blobs = {}, {}, {}
for _, name in ipairs(redis.call('HKEYS', STATE)) do
  local kind = string.sub(name, 1, 1)
  if kind == 'c' then
    local nul = string.find(name, '%z')
    local head = record_head(redis.call('HGET', STATE, name))
    head.ns, head.id = string.sub(name, 2, nul - 1), string.sub(name, nul + 1)
    records[name] = head
    local newest = heads[head.ns]
    if not newest or later(head.id, newest.id) then heads[head.ns] = head end
  elseif kind == 'b' or kind == 'p' then
    blobs[#blobs + 1] = name
  end
end

local function names(joined)
  local found = {}
  for name in string.gmatch(joined, '[^%z]+') do found[name] = true end
  return found
end

local keep = {}
-- Towards the root, until every delta channel of the newest checkpoint has met an ancestor that holds its value.
local function keep_line(head)
  local unseeded = names(head.unseeded)
  while head do
    keep[field('c', head.ns, head.id)] = true
    local here = names(head.unseeded)
    for channel in pairs(unseeded) do
      if not here[channel] then unseeded[channel] = nil end
    end
    if not next(unseeded) then return end
    head = records[field('c', head.ns, head.parent)]
  end
end

if mode == 'latest' then
  for _, head in pairs(heads) do keep_line(head) end
else
  local gone = {}
  for i = 5, #ARGV do gone[ARGV[i]] = true end
  for name, head in pairs(records) do keep[name] = not gone[head.run] end
end

local live, removed = {}, 0
local function mark(refs)
  local pending = { refs }
  while #pending > 0 do
    each_ref(table.remove(pending), function(ref)
      if live[ref] then return end
      live[ref] = true
      if is_page(ref) then pending[#pending + 1] = redis.call('HGET', STATE, ref) or '' end
    end)
  end
end

local newest = {}
for name, head in pairs(records) do
  if keep[name] then
    mark(head.refs)
    if not newest[head.ns] or later(head.id, newest[head.ns]) then newest[head.ns] = head.id end
  end
end
for name, head in pairs(records) do
  if not keep[name] then
    drop(name)
    drop(field('w', head.ns, head.id))
    removed = removed + 1
  end
end
if removed == 0 then return 0 end
if not next(newest) then
  redis.call('DEL', SUMMARY, STATE)
  return removed
end

-- Logs that are left belong to kept checkpoints, or to one that is only just being written: all of them count.
for _, name in ipairs(redis.call('HKEYS', STATE)) do
  if string.byte(name) == 119 then mark(log_refs(redis.call('HGET', STATE, name))) end  -- 'w'
end
for _, name in ipairs(blobs) do
  if not live[name] then drop(name) end
end
for ns in pairs(heads) do
  if newest[ns] then set('h' .. ns, newest[ns]) else drop('h' .. ns) end
end
redis.call('HINCRBY', STATE, '@checkpoints', -removed)
local left_ms = redis.call('PTTL', STATE)
summarise(left_ms > 0 and left_ms or TTL_MS)
return removed
