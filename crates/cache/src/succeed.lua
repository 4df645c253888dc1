-- Takes back what attempt.lua counted, since the log-in succeeded. The same KEYS; ARGV: microseconds in
-- which the address forgets a failure, milliseconds to remember that the account was logged in to from
-- there.
redis.call('DEL', KEYS[1], KEYS[3])
redis.call('SET', KEYS[4], '1', 'PX', ARGV[2])
local owed, last = string.match(ours(KEYS[2]) or '', '^(%d+) (%d+)$')
owed = tonumber(owed or 0) - tonumber(ARGV[1])
if owed > 0 then
    redis.call('SET', KEYS[2], string.format('%.0f %s', owed, last), 'KEEPTTL')
else
    redis.call('DEL', KEYS[2])
end
return 0
