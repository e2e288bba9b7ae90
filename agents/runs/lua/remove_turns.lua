-- Lets turns wait no more. KEYS: those that wait in a shard, then the turns. ARGV: their runs.
redis.call('DEL', unpack(KEYS, 2))
return redis.call('ZREM', KEYS[1], unpack(ARGV))
