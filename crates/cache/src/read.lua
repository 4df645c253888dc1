-- Reads an organization's generation and, if a second key is named, a value.
-- A generation is a time in microseconds; a bump makes a later one. One that is missing (evicted, or
-- never there), or earlier than the reader knows to be bumped (this server lost its last moments), is
-- made anew: what was kept in it is not served any more.
-- KEYS: generation, value. ARGV: the earliest generation that is good, 1 to bump, milliseconds to keep
-- the generation. Returns the generation, the time in milliseconds, the value.
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local earliest, bump = tonumber(ARGV[1]), ARGV[2] == '1'

local generation = number(KEYS[1])
if bump or generation == 0 or generation < earliest then
    generation = math.max(now, generation + 1, earliest + 1)
    redis.call('SET', KEYS[1], string.format('%.0f', generation), 'PX', ARGV[3])
end
return {generation, math.floor(now / 1000), KEYS[2] and ours(KEYS[2]) or false}
