-- Registers a run. KEYS: the run, the runs under way. ARGV: ms to keep it, ms until it counts as abandoned, id, then fields
-- of the run in pairs; among them owner and fingerprint.
-- Returns {1}, or what is known of a run of that id: {0, fingerprint}.
local known = redis.call('HGET', KEYS[1], 'fingerprint')
if known then return { 0, known } end
for i = 4, #ARGV, 2 do redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1]) end
redis.call('PEXPIRE', KEYS[1], ARGV[1])
local time = redis.call('TIME')
redis.call('ZADD', KEYS[2], time[1] * 1000 + math.floor(time[2] / 1000) + ARGV[2], ARGV[3])
return { 1 }
