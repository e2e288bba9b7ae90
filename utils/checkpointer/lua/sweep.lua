-- Removes checkpoints and whatever only they referred to, a step at a time: call it until there is no more to do.
-- ARGV: ttl, now, thread, how many fields a step may remove, then
--   'last', n         keep the n newest, every head that a next turn may begin from, and the ancestors they need
--   'latest'          keep the newest of each namespace, and the ancestors they need
--   'runs', id, …     remove the checkpoints of these runs
-- Returns how many checkpoints went, and 1 if there is more to do, else 0. Upkeep is not use: what both keys have left is
-- not changed.
--
-- Every step finds out anew what is to stay, so that writes between two steps are safe, and a sweep that was broken off
-- leaves a conversation that can be read: checkpoints go first, newest first, so that none is left whose delta channels
-- would have to be rebuilt from ancestors that are gone; values go when no checkpoint is left to go.
local LIMIT, MODE = tonumber(ARGV[4]), ARGV[5]
local BATCH = math.max(1, math.floor(LIMIT / 2))  -- checkpoints: each may have a log

local function log_of(checkpoint) return 'w' .. string.sub(checkpoint, 2) end

-- ---- what there is

local fields, checkpoints, heads, by_name = redis.call('HKEYS', STATE), {}, {}, {}

for _, name in ipairs(fields) do
  if string.byte(name) == 99 then  -- 'c'
    local entry = entry_of(name)
    local ns = ns_of(entry)
    checkpoints[#checkpoints + 1], by_name[name] = entry, entry
    if not heads[ns] or newer(entry, heads[ns]) then heads[ns] = entry end
  end
end

-- Where clocks disagree, the newest by its id is not always what a namespace has gone on to.
for ns in pairs(heads) do
  local id = redis.call('HGET', STATE, 'h' .. ns)
  heads[ns] = id and by_name[field('c', ns, id)] or heads[ns]
end

-- The n newest of `pool`, in no order: parts it at one from the middle and goes on with the part that the nth is in.
local function newest(pool, n)
  local found = {}
  while #pool > n - #found do
    local pivot, above, below = pool[math.ceil(#pool / 2)], {}, {}
    for _, entry in ipairs(pool) do
      if newer(entry, pivot) then above[#above + 1] = entry
      elseif entry ~= pivot then below[#below + 1] = entry end
    end
    if #above < n - #found then
      for _, entry in ipairs(above) do found[#found + 1] = entry end
      found[#found + 1] = pivot
      pool = below
    else
      pool = above
    end
  end
  for _, entry in ipairs(pool) do found[#found + 1] = entry end
  return found
end

-- ---- what stays

local kept, records = {}, {}

local function record_of(entry)
  local record = records[entry.name]
  if not record then
    record = record_head(redis.call('HGET', STATE, entry.name))
    records[entry.name] = record
  end
  return record
end

-- Keeps a checkpoint, and its ancestors as far as its delta channels need them: each up to the nearest that holds its
-- value. A line that several share is walked once for each channel.
local walked = {}
local function keep(entry)
  local channels
  while entry do
    local record, here, wanted = record_of(entry), {}, {}
    kept[entry.name] = true
    if record.unseeded == '' then return end
    for channel in string.gmatch(record.unseeded, '[^%z]+') do here[channel] = true end
    local before = walked[entry.name] or {}
    for channel in pairs(channels or here) do
      if here[channel] and not before[channel] then wanted[channel], before[channel] = true, true end
    end
    walked[entry.name] = before
    if not next(wanted) then return end
    channels, entry = wanted, by_name[field('c', ns_of(entry), record.parent)]
  end
end

-- A namespace with a task's id in it is of one step, and over with it: unless the step is under way, and what it began is
-- newer than the conversation's own head.
local function may_go_on(ns, head)
  return not string.find(ns, ':', 1, true) or not heads[''] or newer(head, heads[''])
end

local recent = checkpoints  -- where those that go now are looked for: of a long history not in all of it
local oldest  -- of those that are kept for their age; nil if the conversation has fewer
if MODE == 'last' then
  recent = newest(checkpoints, tonumber(ARGV[6]) + BATCH)
  local last = newest(recent, tonumber(ARGV[6]))
  for _, entry in ipairs(last) do
    keep(entry)
    if not oldest or newer(oldest, entry) then oldest = entry end
  end
  if #last < tonumber(ARGV[6]) then oldest = nil end
elseif MODE == 'runs' then
  local gone = {}
  for i = 6, #ARGV do gone[ARGV[i]] = true end
  for _, entry in ipairs(checkpoints) do kept[entry.name] = not gone[record_of(entry).run] or nil end
end
if MODE ~= 'runs' then
  for ns, head in pairs(heads) do
    if MODE == 'latest' or may_go_on(ns, head) then keep(head) end
  end
end

-- ---- what goes: all is read before anything is written, so that a record that cannot be read leaves all as it was

local dead, room, more = {}, LIMIT, false

local function take(name)
  dead[#dead + 1] = name
  room = room - 1
end

local function not_kept(list)
  local found = {}
  for _, entry in ipairs(list) do
    if not kept[entry.name] then found[#found + 1] = entry end
  end
  return found
end

local going = not_kept(recent)
if #going == 0 then
  recent, going = checkpoints, not_kept(checkpoints)
end
if #going > 0 and #going == #checkpoints then
  redis.call('UNLINK', SUMMARY, STATE)
  return { #going, 0 }
end
if #going == 0 and MODE == 'runs' and redis.call('HEXISTS', STATE, '@unswept') == 0 then return { 0, 0 } end

local leaving, is_leaving = newest(going, BATCH), {}
for _, entry in ipairs(leaving) do
  is_leaving[entry.name] = true
  take(entry.name)
  take(log_of(entry.name))
end

local live = {}
local function mark(refs)
  local pending = { refs }
  while #pending > 0 do
    local joined = table.remove(pending)
    for at = 1, #joined, REF do
      local ref = string.sub(joined, at, at + REF - 1)
      if not live[ref] then
        live[ref] = true
        if is_page(ref) then pending[#pending + 1] = redis.call('HGET', STATE, ref) or '' end
      end
    end
  end
end

-- Writes to a checkpoint that never came stay as long as it may still be coming.
local function is_lost(log)
  local of = 'c' .. string.sub(log, 2)
  return oldest and not by_name[of] and newer(oldest, entry_of(of))
end

-- Takes what nothing refers to, as far as there is room.
local function take_values()
  for name in pairs(kept) do mark(records[name].refs) end
  for _, name in ipairs(fields) do
    if string.byte(name) == 119 and not is_leaving['c' .. string.sub(name, 2)] then  -- 'w'
      if is_lost(name) then take(name) else mark(log_refs(redis.call('HGET', STATE, name))) end
    end
  end
  -- A page goes before what it refers to: a write may name any page that is there, and with it what is behind it.
  local names, dead_pages, referred = {}, {}, {}
  for _, name in ipairs(fields) do
    if is_page(name) and not live[name] then names[#names + 1] = name end
  end
  for from = 1, #names, UNPACKED do
    local upto = math.min(from + UNPACKED - 1, #names)
    for i, page in ipairs(redis.call('HMGET', STATE, unpack(names, from, upto))) do
      dead_pages[names[from + i - 1]] = page
      local before = string.sub(page, 1, REF)
      if is_page(before) then referred[before] = (referred[before] or 0) + 1 end
    end
  end
  for tip in pairs(dead_pages) do
    local name = tip
    while dead_pages[name] and not referred[name] do
      if room <= 0 then more = true return end
      take(name)
      local before = string.sub(dead_pages[name], 1, REF)
      dead_pages[name] = nil
      if referred[before] then
        referred[before] = referred[before] > 1 and referred[before] - 1 or nil
      end
      name = before
    end
  end
  for _, name in ipairs(fields) do
    if string.byte(name) == 98 and not live[name] then  -- 'b'
      if room > 0 then take(name) else more = true end
    end
  end
end

if #recent < #checkpoints or #leaving < #going or room <= 0 then
  more = true
else
  take_values()
end

-- ---- and goes

-- A namespace that lost its newest checkpoint has the newest that is to stay, else the newest still there, or none.
local function correct_heads()
  local lost, best = {}, {}
  for ns, head in pairs(heads) do
    if is_leaving[head.name] then lost[ns] = true end
  end
  if not next(lost) then return end
  for _, entry in ipairs(checkpoints) do
    local ns = ns_of(entry)
    if lost[ns] and not is_leaving[entry.name] then
      local other = best[ns]
      local stays, other_stays = kept[entry.name], other and kept[other.name]
      if not other or (stays and not other_stays) or (stays == other_stays and newer(entry, other)) then
        best[ns] = entry
      end
    end
  end
  for ns in pairs(lost) do
    if best[ns] then set('h' .. ns, id_of(best[ns])) else drop('h' .. ns) end
  end
  -- What the summary says of the newest checkpoint was true of another one.
  if lost[''] then redis.call('HDEL', STATE, '@step', '@counts') end
end

for _, name in ipairs(dead) do
  local size = redis.call('HSTRLEN', STATE, name)
  if size > 0 then grown = grown - #name - size end  -- not every checkpoint has a log, and nothing else is empty
end
for at = 1, #dead, UNPACKED do
  redis.call('HDEL', STATE, unpack(dead, at, math.min(at + UNPACKED - 1, #dead)))
end
if #leaving > 0 then
  correct_heads()
  redis.call('HINCRBY', STATE, '@checkpoints', -#leaving)
end

-- Until it is through: whatever sweeps next goes on with the values that a sweep broken off has left.
if more then redis.call('HSET', STATE, '@unswept', 0) else redis.call('HDEL', STATE, '@unswept') end
-- How many stay beyond the n: a conversation is due for the next sweep when as many more have come, see retention.py.
local beyond = MODE == 'last' and #checkpoints - #leaving - tonumber(ARGV[6]) or 0
if beyond > 0 then redis.call('HSET', STATE, '@beyond', beyond) else redis.call('HDEL', STATE, '@beyond') end
if #dead > 0 then
  local left_ms = redis.call('PTTL', STATE)
  summarise(left_ms > 0 and left_ms or TTL_MS)
end
return { #leaving, more and 1 or 0 }
