-- Decides whether a log-in may be tried now, as delays.rs does, by this server's clock; and if so
-- counts it as failed, until succeed.lua says otherwise.
-- KEYS: counts of the account, of the address, of the account from that address; whether the account
-- was logged in to from there. ARGV: the five Numbers of the account, then those of the address.
-- Returns the microseconds to wait; 0 if it may be tried.
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]

local function look(key, at)
    local free, first, longest = tonumber(ARGV[at]), tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2])
    local forgotten, most = tonumber(ARGV[at + 3]), tonumber(ARGV[at + 4])
    local owed, last = string.match(ours(key) or '', '^(%d+) (%d+)$')
    owed, last = tonumber(owed or 0), tonumber(last or 0)
    local failures, delay = math.ceil(owed / forgotten), 0
    if failures > free then
        delay = math.min(first * 2 ^ math.min(failures - free - 1, 40), longest)
    end
    local still_owed = math.max(owed - math.max(now - last, 0), 0)
    return {
        wait = math.min(math.max(last + delay - now, 0), delay),
        charged = math.min(still_owed + forgotten, most * forgotten),
        longest = longest,
    }
end

local account_key = redis.call('EXISTS', KEYS[4]) == 1 and KEYS[3] or KEYS[1]
local account, address = look(account_key, 1), look(KEYS[2], 6)
local wait = math.max(account.wait, address.wait)
if wait > 0 then
    return wait
end

local function charge(key, count)
    -- Until all is forgotten, and the last delay is over.
    local millis = math.ceil(math.max(count.charged, count.longest) / 1000)
    redis.call('SET', key, string.format('%.0f %.0f', count.charged, now), 'PX', millis)
end
charge(account_key, account)
charge(KEYS[2], address)
return 0
