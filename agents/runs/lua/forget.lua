-- Removes a run that has not begun. KEYS: the run, its events, the runs under way. ARGV: id, who asks.
if redis.call('HGET', KEYS[1], 'owner') ~= ARGV[2] then return 0 end
redis.call('ZREM', KEYS[3], ARGV[1])
return redis.call('DEL', KEYS[1], KEYS[2])
