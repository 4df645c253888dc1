-- Guesses at passwords that are not worked off yet, so that all servers together answer so many an hour and
-- no more. By the digest of what is guessed at: a mailbox as it was named (there need be no account, and those
-- are not ours to keep), a device that has logged in before, or a user who is asked for the password so far.
-- lint: allow tenant-without-org-id because guesses come before the organization is known, and no tenant reaches them
CREATE TABLE login_guesses (
    account bytea       NOT NULL,
    until   timestamptz NOT NULL,
    CONSTRAINT login_guesses_pkey PRIMARY KEY (account)
);
CREATE INDEX login_guesses_until_idx ON login_guesses (until);
REVOKE ALL ON login_guesses FROM "brownie-server", "brownie-backup", "brownie-monitor";

-- Counts a guess, and returns null; or returns how long to wait, and counts nothing. The generic cell rate
-- algorithm (ITU-T I.371): `until` is when all guesses are worked off, each of them in `spacing`; no more may
-- be owed than `depth`. What is worked off is removed here, a little with each guess.
CREATE FUNCTION count_login_guess(guessed text, spacing interval, depth interval) RETURNS interval
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    digest bytea := sha256(convert_to(guessed, 'UTF8'));
    wait   interval;
BEGIN
    -- Whoever must wait costs a look, and takes no lock.
    SELECT g.until + spacing - depth - now() INTO wait FROM public.login_guesses AS g
        WHERE g.account = digest;
    IF wait > interval '0' THEN
        RETURN wait;
    END IF;
    INSERT INTO public.login_guesses AS g (account, until) VALUES (digest, now() + spacing)
        ON CONFLICT (account) DO UPDATE SET until = greatest(g.until, now()) + spacing
        WHERE greatest(g.until, now()) + spacing <= now() + depth;
    IF NOT FOUND THEN
        -- Others guessed at the same moment.
        SELECT greatest(g.until + spacing - depth - now(), interval '1 second') INTO wait
            FROM public.login_guesses AS g WHERE g.account = digest;
        RETURN coalesce(wait, interval '1 second');
    END IF;
    DELETE FROM public.login_guesses WHERE account IN (
        SELECT g.account FROM public.login_guesses AS g WHERE g.until < now()
        ORDER BY g.until LIMIT 10 FOR UPDATE SKIP LOCKED);
    RETURN NULL;
END
$$;

-- Takes back a guess that was right.
CREATE FUNCTION return_login_guess(guessed text, spacing interval) RETURNS void
LANGUAGE sql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
    UPDATE public.login_guesses SET until = until - spacing
        WHERE account = sha256(convert_to(guessed, 'UTF8'))
$$;
ALTER FUNCTION count_login_guess(text, interval, interval) OWNER TO "brownie-migrator";
ALTER FUNCTION return_login_guess(text, interval) OWNER TO "brownie-migrator";
REVOKE ALL ON FUNCTION count_login_guess(text, interval, interval), return_login_guess(text, interval)
    FROM PUBLIC;
GRANT EXECUTE ON FUNCTION count_login_guess(text, interval, interval), return_login_guess(text, interval)
    TO "brownie-server";
