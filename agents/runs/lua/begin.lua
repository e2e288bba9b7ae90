-- Registers a run. KEYS: the run, the runs under way, those of its conversation. ARGV: ms to keep it, ms until it counts as
-- abandoned, id, a name of this call, then fields of the run in pairs; among them owner and fingerprint.
-- Returns {1}, or what is known of a run of that id: {0, fingerprint}.
local known, begun_by = unpack(redis.call('HMGET', KEYS[1], 'fingerprint', 'begun_by'))
-- A client that lost the answer sends the same call again.
if known and begun_by ~= ARGV[4] then return { 0, known } end
redis.call('HDEL', KEYS[1], 'deleted')
redis.call('HSET', KEYS[1], 'begun_by', ARGV[4])
for i = 5, #ARGV, 2 do redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1]) end
redis.call('PEXPIRE', KEYS[1], ARGV[1])
redis.call('SADD', KEYS[3], ARGV[3])
-- A run is kept from its end on, and one may take long.
local listed_ms = ARGV[1] + 86400000
if redis.call('PTTL', KEYS[3]) < listed_ms then redis.call('PEXPIRE', KEYS[3], listed_ms) end
local time = redis.call('TIME')
redis.call('ZADD', KEYS[2], time[1] * 1000 + math.floor(time[2] / 1000) + ARGV[2], ARGV[3])
return { 1 }
