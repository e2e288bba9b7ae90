-- Removes runs of a conversation that was deleted. KEYS: the conversation's runs, the runs under way, then runs and their
-- events in pairs. ARGV: ms to remember that they were deleted, then their ids.
-- What is left of a run says that it is wanted no more, should its worker still live.
for i = 2, #ARGV do
  local run, events = KEYS[2 * i - 1], KEYS[2 * i]
  redis.call('SREM', KEYS[1], ARGV[i])
  redis.call('ZREM', KEYS[2], ARGV[i])
  redis.call('DEL', run, events)
  redis.call('HSET', run, 'deleted', 1)
  redis.call('PEXPIRE', run, ARGV[1])
end
return #ARGV - 1
