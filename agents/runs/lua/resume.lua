-- Lets a run that waits for a person go on. KEYS: the run, the runs under way. ARGV: ms until it counts as abandoned, id, who
-- asks, what the person said.
-- Returns 1, or 0 if it does not wait.
if redis.call('HGET', KEYS[1], 'status') ~= 'waiting' then return 0 end
redis.call('HMSET', KEYS[1], 'status', 'running', 'owner', ARGV[3], 'approval', ARGV[4])
local time = redis.call('TIME')
redis.call('ZADD', KEYS[2], time[1] * 1000 + math.floor(time[2] / 1000) + ARGV[1], ARGV[2])
return 1
