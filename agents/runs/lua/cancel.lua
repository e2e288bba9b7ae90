-- Marks a run as wanted no more. KEYS: the run. Returns its status before, or ''.
local status = redis.call('HGET', KEYS[1], 'status')
if status == 'running' then redis.call('HSET', KEYS[1], 'cancelled', 1) end
return status or ''
