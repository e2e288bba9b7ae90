-- Lets turns wait no more. KEYS: the runs whose turns wait in a shard, then of each turn all of its run. ARGV: of each turn its
-- run, and when it was asked.
for i = 2, #KEYS do
  redis.call('HDEL', KEYS[i], ARGV[2 * i - 2])
  if redis.call('EXISTS', KEYS[i]) == 0 then redis.call('ZREM', KEYS[1], ARGV[2 * i - 3]) end
end
return #KEYS - 1
