-- Replaces all fields of a conversation, if it is as it was read. ARGV: ttl, now, thread, how many fields there were, then
-- their names and the SHA-1 of their values, then the new names and values. Returns 1, or 0 with nothing changed.
-- A value or page is under its name or it is not: instead of its SHA-1 there is ''.
-- Upkeep is not use: what both keys have left is not changed.
local count = tonumber(ARGV[4])
local first = 5 + 2 * count
local SENT = 1000  -- arguments a command is given at once: Lua's stack is small

local sums = {}
for i = 5, first - 1, 2 do sums[ARGV[i]] = ARGV[i + 1] end
local names = redis.call('HKEYS', STATE)
if #names ~= count then return 0 end
for _, name in ipairs(names) do
  local sum = sums[name]
  if sum ~= '' and sum ~= redis.sha1hex(redis.call('HGET', STATE, name)) then return 0 end
end

local left_ms = redis.call('PTTL', STATE)
redis.call('DEL', STATE)
for i = first, #ARGV, SENT do
  redis.call('HMSET', STATE, unpack(ARGV, i, math.min(i + SENT - 1, #ARGV)))
end
summarise(left_ms > 0 and left_ms or TTL_MS)
return 1
