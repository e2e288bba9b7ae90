-- Lets a run that waits for a person go on. KEYS: the run, the runs under way. ARGV: ms until it counts as abandoned, id, who
-- asks, what the person said; empty: it is to be ended, by whichever worker.
-- Returns 1, or 0 if it does not wait, or was cancelled just before it began to.
local status, cancelled = unpack(redis.call('HMGET', KEYS[1], 'status', 'cancelled'))
if status ~= 'waiting' or (cancelled and ARGV[4] ~= '') then return 0 end
if ARGV[4] == '' then redis.call('HSET', KEYS[1], 'cancelled', 1) end
redis.call('HMSET', KEYS[1], 'status', 'running', 'owner', ARGV[3], 'approval', ARGV[4])
local time = redis.call('TIME')
redis.call('ZADD', KEYS[2], time[1] * 1000 + math.floor(time[2] / 1000) + ARGV[1], ARGV[2])
return 1
