-- Comes before each script that reads. Reads a key; what is no text was not stored by us (another application with
-- the same prefix, another release) and is removed: it would fail every operation that touches it, for ever.
local function ours(key)
    local found = redis.pcall('GET', key)
    if type(found) == 'table' then
        redis.call('DEL', key)
        return false
    end
    return found
end

-- Reads a number; what is none counts as 0.
local function number(key)
    local found = tonumber(ours(key) or 0) or 0
    -- NaN is not equal to itself, and times of ours are in microseconds.
    if found ~= found or found > 1e16 then
        return 0
    end
    return found
end

