-- What runs have to tell since a reader was there last. KEYS: their events. ARGV: the last entry each reader has, or 0.
-- Returns for each the entries after that, at most 100: {{id, {'e', events}}, …}.
local found = {}
for i = 1, #KEYS do
  local after = ARGV[i] == '0' and '-' or (string.format('%.0f', ARGV[i] + 1) .. '-0')
  found[i] = redis.call('XRANGE', KEYS[i], after, '+', 'COUNT', 100)
end
return found
