-- Replaces a conversation by a copy. ARGV: ttl, now, thread, then all fields and values of the other's hash.
redis.call('DEL', STATE)
for i = 4, #ARGV, 2 do redis.call('HSET', STATE, ARGV[i], ARGV[i + 1]) end
redis.call('HSET', STATE, '@created', NOW)
wrote()
return 1
