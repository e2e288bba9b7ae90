-- Lets another worker have a run at once. KEYS: the run, the runs under way. ARGV: id, who asks.
local owner, status = unpack(redis.call('HMGET', KEYS[1], 'owner', 'status'))
if owner ~= ARGV[2] or status ~= 'running' then return 0 end
redis.call('HSET', KEYS[1], 'owner', '')
redis.call('HINCRBY', KEYS[1], 'attempts', -1)  -- its worker was not the run's fault
return redis.call('ZADD', KEYS[2], 0, ARGV[1])
