-- Put before every other script. Redis >= 5 or Valkey, no modules.
--
-- KEYS[1]  checkpoint:<thread id>          readable JSON, rebuilt from the hash by every write
-- KEYS[2]  state:{checkpoint:<thread id>}  the hash that holds everything:
--   h<ns>            id of the newest checkpoint of a namespace
--   c<ns>\0<id>      a checkpoint record     (format: records.py)
--   w<ns>\0<id>      its log of pending writes
--   b<digest>        a value                 (codec.py)
--   p<digest>        a page of a list        (values.py)
--   @created @updated @bytes @checkpoints @step @counts   what the summary shows
--   @fence           the highest fence that has written
-- KEYS[3]  lease:{checkpoint:<thread id>}  of put and writes, where the run has a lease: a hash with its `fence`
-- ARGV[1..3] are always: time to live in ms (0: what is left), now (ISO 8601), thread id.
--
-- A reference is the name of the field it means, REF bytes long. If a page is there, so is everything behind it: pages and
-- blobs arrive together, and sweep.lua removes only what nothing refers to.
local SUMMARY, STATE = KEYS[1], KEYS[2]
local TTL_MS, NOW, THREAD = ARGV[1], ARGV[2], ARGV[3]
local REF = 17
local grown = 0

local function field(kind, ns, id)
  return kind .. ns .. '\0' .. id
end

-- Lua's own < on strings follows the server's locale; checkpoint ids are ordered by their bytes.
local function later(a, b)
  for i = 1, math.min(#a, #b) do
    local x, y = string.byte(a, i), string.byte(b, i)
    if x ~= y then return x > y end
  end
  return #a > #b
end

-- A checkpoint by the name of its field.
-- The first 18 bytes of an id are three numbers, which compare at once: they hold the time in LangGraph's ids.
local function entry_of(name)
  local nul = string.find(name, '%z')
  local padded, at = name, nul + 1
  if #name - nul < 18 then padded, at = string.sub(name, at) .. string.rep('\0', 18), 1 end
  local first, second, third = struct.unpack('>I6I6I6', padded, at)
  return { name = name, nul = nul, first = first, second = second, third = third }
end

local function ns_of(entry) return string.sub(entry.name, 2, entry.nul - 1) end
local function id_of(entry) return string.sub(entry.name, entry.nul + 1) end

local function newer(a, b)
  if a.first ~= b.first then return a.first > b.first end
  if a.second ~= b.second then return a.second > b.second end
  if a.third ~= b.third then return a.third > b.third end
  if id_of(a) ~= id_of(b) then return later(id_of(a), id_of(b)) end
  return later(ns_of(a), ns_of(b))
end

local function each_ref(refs, visit)
  for at = 1, #refs, REF do visit(string.sub(refs, at, at + REF - 1)) end
end

local function is_page(ref)
  return string.byte(ref) == 112  -- 'p'
end

local function record_head(record)
  local parent, run, unseeded, refs = struct.unpack('>Hc0Hc0Hc0I4c0', record)
  return { parent = parent, run = run, unseeded = unseeded, refs = refs }
end

-- The references of all frames of a log of writes, joined.
local function log_refs(log)
  local parts, at = {}, 1
  while at <= #log do
    local refs, _, following = struct.unpack('>I4c0I4c0', log, at)
    parts[#parts + 1], at = refs, following
  end
  return table.concat(parts)
end

-- The score keeps @bytes right without measuring the hash: every change of a field goes through these two.
local function set(name, value)
  local before = redis.call('HSTRLEN', STATE, name)
  if redis.call('HSET', STATE, name, value) == 1 then
    grown = grown + #name + #value
    return true
  end
  grown = grown + #value - before
  return false
end

local function drop(name)
  local size = redis.call('HSTRLEN', STATE, name)
  if redis.call('HDEL', STATE, name) == 1 then grown = grown - #name - size end
end

-- Rebuilds the readable key and gives both keys the same remaining life.
local function summarise(ttl_ms)
  redis.call('HINCRBY', STATE, '@bytes', grown)
  grown = 0
  local f = redis.call('HMGET', STATE, 'h', '@step', '@checkpoints', '@counts', '@bytes', '@created', '@updated')
  local json = string.format(
    '{"thread_id": %s, "checkpoint_id": %s, "step": %s, "checkpoints": %s, "counts": %s, "bytes": %s, '
      .. '"created_at": %s, "updated_at": %s}',
    cjson.encode(THREAD), f[1] and cjson.encode(f[1]) or 'null', f[2] or 'null', f[3] or '0', f[4] or '{}', f[5],
    cjson.encode(f[6] or NOW), cjson.encode(f[7] or NOW))
  redis.call('SET', SUMMARY, json, 'PX', ttl_ms)
  redis.call('PEXPIRE', STATE, ttl_ms)
end

-- A write by a conversation: it lives on for the whole time to live.
local function wrote()
  redis.call('HSETNX', STATE, '@created', NOW)
  redis.call('HSET', STATE, '@updated', NOW)
  summarise(TTL_MS)
end

-- A read prolongs both keys, unless told not to, and brings the readable one back if somebody removed it.
local function was_read()
  if TTL_MS == '0' then return end
  redis.call('PEXPIRE', STATE, TTL_MS)
  if redis.call('PEXPIRE', SUMMARY, TTL_MS) == 0 then summarise(TTL_MS) end
end

-- A fence is a number that every lease on the conversation has higher than those before it. Whether the writer's is too
-- low: another has the conversation now, or has written in it since. '0' is a writer without a lease.
local function is_superseded(fence)
  if fence == '0' then return false end
  local held, written = redis.call('HGET', KEYS[3], 'fence'), redis.call('HGET', STATE, '@fence')
  local highest = math.max(tonumber(held or '0'), tonumber(written or '0'))
  return highest > tonumber(fence)
end

local function wrote_under(fence)
  if fence ~= '0' then redis.call('HSET', STATE, '@fence', fence) end
end

-- Stores the fields from ARGV[first] on, in pairs, unless something that `refs` or a sent page refers to would be missing.
-- Returns false, with nothing changed, if so.
local function store(first, refs)
  local sent = {}
  for i = first, #ARGV, 2 do sent[ARGV[i]] = true end
  local complete = true
  local function need(ref)
    if complete and not sent[ref] and redis.call('HEXISTS', STATE, ref) == 0 then complete = false end
  end
  each_ref(refs, need)
  for i = first, #ARGV, 2 do
    if is_page(ARGV[i]) then each_ref(ARGV[i + 1], need) end
  end
  if not complete then return false end
  for i = first, #ARGV, 2 do
    if redis.call('HSETNX', STATE, ARGV[i], ARGV[i + 1]) == 1 then grown = grown + #ARGV[i] + #ARGV[i + 1] end
  end
  return true
end

-- Adds to `found` every field behind `refs` that was not seen yet: reference and value in turn. They are looked up a page at
-- a time, because every call costs.
local UNPACKED = 1000  -- names a command is given at once: Lua's stack is small
local function collect(refs, found, seen)
  local pending = { refs }
  while #pending > 0 do
    local names = {}
    each_ref(table.remove(pending), function(ref)
      if not seen[ref] then seen[ref], names[#names + 1] = true, ref end
    end)
    for from = 1, #names, UNPACKED do
      local upto = math.min(from + UNPACKED - 1, #names)
      local values = redis.call('HMGET', STATE, unpack(names, from, upto))
      for i, value in ipairs(values) do
        local ref = names[from + i - 1]
        if value then
          found[#found + 1], found[#found + 2] = ref, value
          if is_page(ref) then pending[#pending + 1] = value end
        end
      end
    end
  end
end
