-- Gives runs whose turns wait to be written to SQL. KEYS: those of a shard. ARGV: at most how many, ms until they may be given again.
-- Returns {how many wait, {these}}. The longest ones first; one that is given to a worker that dies is given again.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local runs = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'LIMIT', 0, ARGV[1])
for _, run in ipairs(runs) do redis.call('ZADD', KEYS[1], now + ARGV[2], run) end
return { redis.call('ZCARD', KEYS[1]), runs }
