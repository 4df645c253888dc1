"""Flows: incidents, agent configurations and statistics."""
from book import RUN, STRANGE, check, differs, employ, found, holds, same, says


def incidents():
    me, other = found("incidents"), found("elsewhere")
    post, get = "POST /teams/{team_id}/incidents", "GET /teams/{team_id}/incidents"
    one, put, delete = (f"{method} /incidents/{{incident_id}}" for method in ("GET", "PUT", "DELETE"))
    member = employ(me, "member")

    def made(case, admin=me, **fields):
        body = {"title": "Disk full", "description": None, "status": "open", "priority": "high", "assigned_to": None,
                "tags": ["db"], "incident_metadata": {"host": "db-1"}, "team_id": admin.team, "idempotency_key": None,
                **fields}
        return holds(admin.ask(case, post, 200, 201, "created", body, team_id=admin.team), "Incident"), body

    def stamps(answer, time, minutes):
        return answer.json()[time] is not None, answer.json()[minutes]

    key = f"alert-{RUN}"
    incident, body = made("create", idempotency_key=key)
    check("an incident echoes what was sent", body, {k: incident[k] for k in body})
    again = me.ask("same idempotency_key", post, 200, body=body)
    same(again, "gives the same incident", incident["id"], again.json()["id"])
    same_key, _ = made("same idempotency_key, neighbour", other, idempotency_key=key)
    differs(again, "key-per-organization", "neighbour gets it, too", True, False, same_key["id"] == incident["id"])
    team = {"name": "Second", "slug": "second", "organization_id": me.org}
    second = me.ask("create", "POST /organizations/{org_id}/teams", 200, 201, "created", team).json()["id"]
    elsewhere = dict(body, team_id=second)
    keyed = me.ask("same idempotency_key, other team", post, 200, 409, "key-other-team", elsewhere, team_id=second)
    says(keyed, "already exists")
    unkeyed = dict(body, idempotency_key=None)
    me.ask("another team_id in the body", post, 200, 422, "bodies-agree", dict(body, team_id=STRANGE))
    me.ask("organization_id in the body", post, 200, 422, "unknown-fields", dict(body, organization_id=me.org))
    me.ask("upper case", post, 422, body=dict(body, status="OPEN"))
    me.ask("unknown assignee", post, 500, 422, "unknown-assignee", dict(unkeyed, assigned_to=STRANGE))
    me.ask("neighbour's", post, 403, 404, "strangers", dict(unkeyed, team_id=other.team), team_id=other.team)
    member.ask("by a member", post, 403, 201, "members-write", unkeyed)
    employ(me, "viewer").ask("by a viewer", post, 403, body=body)
    done, _ = made("create as resolved", status="resolved")
    stamped = done["resolved_at"] is not None
    differs(again, "stamped-at-create", "resolved_at when made as resolved", False, True, stamped)
    query = {"status": "open", "priority": "high", "since": "2020-01-01T00:00:00Z", "q": "DISK", "limit": 1}
    page = holds(me.ask("filters", get, 200, query=query), "Page")
    rest = me.ask("next page", get, 200, query={**query, "limit": 9, "cursor": page["next_cursor"]}).json()
    check("open ones, each once", 2, len({i["id"] for i in page["items"] + rest["items"]}))
    me.ask("since without a zone", get, 200, 422, "zone-required", query={"since": "2020-01-01T00:00:00"})
    me.ask("neighbour's", get, 403, 404, "strangers", team_id=other.team)
    holds(me.ask("one", one, 200, incident_id=incident["id"]), "Incident")
    says(me.ask("unknown", one, 404, incident_id=STRANGE), "not found")
    me.ask("neighbour's", one, 403, 404, "strangers", incident_id=same_key["id"])
    ids = {"incident_id": incident["id"]}
    taken = me.change("assign", put, {"assigned_to": member.id}, **ids)
    same(taken, "assigning starts it", (True, 0), stamps(taken, "started_at", "response_time_minutes"))
    differs(taken, "version-counts", "version after a change", 1, 2, taken.json()["version"])
    me.ask("old version", put, 200, 412, "stale-version", {"title": "x"}, version="1", **ids)
    solved = me.change("resolve", put, {"status": "resolved"}, **ids)
    same(solved, "resolving stamps it", (True, 0), stamps(solved, "resolved_at", "resolution_time_minutes"))
    opened = me.change("reopen", put, {"status": "open"}, **ids)
    differs(opened, "reopening", "keeps resolved_at", True, False, opened.json()["resolved_at"] is not None)
    closed = me.change("close", put, {"status": "closed"}, **ids)
    same(closed, "closing stamps it", True, closed.json()["closed_at"] is not None)
    me.ask("closed to resolved", put, 200, 409, "transitions", {"status": "resolved"}, version="5", **ids)
    me.change("delete", delete, **ids)
    says(me.ask("deleted", one, 404, **ids), "not found")
    member.ask("by a member", delete, 403, version="1", incident_id=done["id"])


def agent_configs():
    me, put = found("agents"), "PUT /agent-configs/{config_id}"
    post, get = "POST /teams/{team_id}/agent-configs", "GET /teams/{team_id}/agent-configs"
    body = {"name": "Triage", "description": None, "agent_type": "incident_response", "is_active": True,
            "config": {"model": "m"}, "execution_timeout_seconds": 300, "max_retries": 3, "retry_delay_seconds": 60,
            "triggers": {}, "conditions": {}, "tags": [], "config_metadata": {}, "team_id": me.team}
    check("empty list of agent configurations", [], me.ask("empty", get, 200).json()["items"])
    me.ask("is_active=True", get, 200, query={"is_active": True})
    config = holds(me.ask("create", post, 200, 201, "created", body), "AgentConfig")
    check("an agent configuration echoes what was sent", body, {k: config[k] for k in body})
    says(me.ask("same name", post, 400, 409, "duplicate", body), "already exists")
    me.ask("timeout 0", post, 422, body=dict(body, name="x", execution_timeout_seconds=0))
    employ(me, "member").ask("by a member", post, 403, 201, "members-write", dict(body, name="x"))
    query = {"agent_type": "incident_response", "is_active": "true", "limit": 1}
    holds(me.ask("list", get, 500, 200, "works", query=query), "Page")
    ids = {"config_id": config["id"]}
    me.ask("one", "GET /agent-configs/{config_id}", 200, **ids)
    me.ask("If-Match: 1", put, 200, body={"max_retries": 5}, version="1", **ids)
    me.ask("If-Match: 1, again", put, 409, 412, "stale-version", {"max_retries": 6}, version="1", **ids)
    quoted = me.ask('If-Match: "v2"', put, 409, 200, "etag-taken", {"max_retries": 6}, version='"v2"', **ids)
    same(quoted, "version", 3, quoted.json()["version"])
    me.ask("no If-Match", put, 200, 428, "version-required", {"max_retries": 7}, **ids)
    me.change("delete", "DELETE /agent-configs/{config_id}", **ids)
    me.ask("deleted", "GET /agent-configs/{config_id}", 200, 404, "agents-deleted", **ids)
    me.ask("name of a deleted one", post, 400, 201, "agents-deleted", body)


def statistics():
    me, other = found("stats"), found("apart")
    post, one = "POST /teams/{team_id}/stats", "GET /stats/{stats_id}"
    body = {"metric_name": "mttr", "metric_type": "gauge", "value": 1.5, "count": None,
            "timestamp": "2025-01-01T00:00:00Z", "time_window": None, "labels": {}, "description": None,
            "unit": "minutes", "team_id": me.team, "organization_id": me.org}
    stat = holds(me.ask("create", post, 200, 201, "created", body), "Stats")
    check("a statistic echoes what was sent", body, {k: stat[k] for k in body})
    me.ask("another organization_id in the body", post, 200, 422, "bodies-agree", dict(body, organization_id=other.org))
    me.ask("a time without a zone", post, 200, 422, "zone-required", dict(body, timestamp="2025-01-01T00:00:00"))
    employ(me, "member").ask("by a member", post, 403, 201, "members-write", body)
    time = body["timestamp"]
    query = {"metric_name": "mttr", "metric_type": "gauge", "since": time, "until": time, "limit": 1}
    holds(me.ask("list", "GET /teams/{team_id}/stats", 500, 200, "works", query=query), "Page")
    holds(me.ask("list", "GET /organizations/{org_id}/stats", 500, 200, "works", query=query), "Page")
    me.ask("neighbour's", "GET /teams/{team_id}/stats", 403, 404, "strangers", team_id=other.team)
    me.ask("neighbour's", "GET /organizations/{org_id}/stats", 403, 404, "strangers", org_id=other.org)
    holds(me.ask("one", one, 200, stats_id=stat["id"]), "Stats")
    other.ask("neighbour's", one, 403, 404, "strangers", stats_id=stat["id"])
    me.change("delete", "DELETE /stats/{stats_id}", stats_id=stat["id"])
    says(me.ask("deleted", one, 404, stats_id=stat["id"]), "not found")
