-- Tries the commands in ARGV, each with its arguments after it between blanks, on KEYS[1], and leaves nothing there.
-- Returns the name and the error of the first that is refused, or false. The first of them sets an end and the second
-- removes the key: if one of the two is refused nothing lasts, and the others are tried only when both are not.
for _, line in ipairs(ARGV) do
  local words = {}
  for word in string.gmatch(line, '%S+') do words[#words + 1] = word end
  local reply = redis.pcall(words[1], KEYS[1], unpack(words, 2))
  if type(reply) == 'table' and reply.err then
    redis.pcall('DEL', KEYS[1])
    return { words[1], reply.err }
  end
end
redis.call('DEL', KEYS[1])
return false
