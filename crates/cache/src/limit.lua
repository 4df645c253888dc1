-- Decides whether a cost is allowed, as rule.rs does, by this server's clock.
-- KEYS: what is limited. ARGV: microseconds that a unit takes to work off, burst, cost; less than 0 gives
-- back. Returns 1 if it is allowed, else 0, and what is owed in microseconds.
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local interval, burst, cost = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local depth = interval * burst

local till = number(KEYS[1])
local owed = math.min(math.max(till - now, 0), depth)
local owed_then = math.max(owed + interval * cost, 0)
if owed_then > depth then
    return {0, owed}
end
if cost < 0 and owed_then == 0 then
    redis.call('DEL', KEYS[1])
elseif cost ~= 0 then
    -- %.0f, because Lua's own way to write a number keeps 14 digits.
    local text = string.format('%.0f', now + owed_then)
    redis.call('SET', KEYS[1], text, 'PX', math.ceil(owed_then / 1000))
end
return {1, owed_then}
