-- Removes runs of a conversation that was deleted. KEYS: the conversation's runs, the runs under way, the turns that wait to
-- be written to SQL, then of each run itself, its events and its turns. ARGV: ms to remember that they were deleted, then their ids.
-- What is left of a run says that it is wanted no more, should its worker still live.
for i = 2, #ARGV do
  local run, events, turns = KEYS[3 * i - 2], KEYS[3 * i - 1], KEYS[3 * i]
  redis.call('SREM', KEYS[1], ARGV[i])
  redis.call('ZREM', KEYS[2], ARGV[i])
  redis.call('ZREM', KEYS[3], ARGV[i])
  redis.call('DEL', run, events, turns)
  redis.call('HSET', run, 'deleted', 1)
  redis.call('PEXPIRE', run, ARGV[1])
end
return #ARGV - 1
