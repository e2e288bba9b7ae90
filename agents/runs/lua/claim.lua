-- Gives an abandoned run to another worker. KEYS: the run, its events, the runs under way. ARGV: ms until it counts as
-- abandoned again, id, who asks.
-- Returns {fields of the run, id of its last entry of events or ''}, or {} if it is not abandoned any more.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local abandoned_at = redis.call('ZSCORE', KEYS[3], ARGV[2])
if not abandoned_at or tonumber(abandoned_at) > now then return {} end
if redis.call('HGET', KEYS[1], 'status') ~= 'running' then
  redis.call('ZREM', KEYS[3], ARGV[2])
  return {}
end
redis.call('HSET', KEYS[1], 'owner', ARGV[3])
redis.call('HINCRBY', KEYS[1], 'attempts', 1)
redis.call('ZADD', KEYS[3], now + ARGV[1], ARGV[2])
local last = redis.call('XREVRANGE', KEYS[2], '+', '-', 'COUNT', 1)[1]
return { redis.call('HGETALL', KEYS[1]), last and last[1] or '' }
