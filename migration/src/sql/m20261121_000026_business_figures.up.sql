-- How much there is of what, over all organizations: counts and nothing else, for metrics. It goes
-- from one organization to the next as anybody has to: no wall is lowered for it. The setting is put
-- back when it returns.
CREATE FUNCTION business_figures()
RETURNS TABLE (figure text, status text, priority text, amount bigint)
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    organization  uuid;
    organizations bigint := 0;
    teams         bigint := 0;
    users         bigint := 0;
    users_active  bigint := 0;
    agent_configs bigint := 0;
    incidents     jsonb := '{}';
    yesterday     timestamptz := now() - interval '1 day';
    before        text := coalesce(current_setting('app.org_id', true), '');
BEGIN
    FOR organization IN SELECT public.organization_ids() LOOP
        PERFORM set_config('app.org_id', organization::text, true);
        CONTINUE WHEN NOT EXISTS (SELECT FROM public.organizations AS o
            WHERE o.id = organization AND o.deleted_at IS NULL);
        organizations := organizations + 1;
        teams := teams + (SELECT count(*) FROM public.teams AS t
            WHERE t.org_id = organization AND t.deleted_at IS NULL);
        users := users + (SELECT count(*) FROM public.users AS u
            WHERE u.org_id = organization AND u.deleted_at IS NULL);
        users_active := users_active + (SELECT count(DISTINCT s.user_id) FROM public.sessions AS s
            WHERE s.org_id = organization AND s.last_used_at > yesterday);
        agent_configs := agent_configs + (SELECT count(*) FROM public.agent_configs AS a
            WHERE a.org_id = organization AND a.deleted_at IS NULL);
        SELECT incidents || coalesce(jsonb_object_agg(of_kind.kind,
                of_kind.n + coalesce((incidents ->> of_kind.kind)::bigint, 0)), '{}')
            INTO incidents
            FROM (SELECT i.status || ' ' || i.priority AS kind, count(*) AS n
                  FROM public.incidents AS i
                  WHERE i.org_id = organization AND i.deleted_at IS NULL
                  GROUP BY i.status, i.priority) AS of_kind;
    END LOOP;
    PERFORM set_config('app.org_id', before, true);
    RETURN QUERY VALUES
        ('organizations', NULL, NULL, organizations),
        ('teams', NULL, NULL, teams),
        ('users', NULL, NULL, users),
        ('users_active', NULL, NULL, users_active),
        ('agent_configs', NULL, NULL, agent_configs);
    RETURN QUERY SELECT 'incidents', split_part(kind, ' ', 1), split_part(kind, ' ', 2), n::bigint
        FROM jsonb_each_text(incidents) AS of_kind (kind, n);
END
$$;
REVOKE ALL ON FUNCTION business_figures() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION business_figures() TO "brownie-server", "brownie-monitor";
