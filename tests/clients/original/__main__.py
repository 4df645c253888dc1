#!/usr/bin/env python3
"""What a client of the original Python service (0.1.0) meets here: every operation it had, called as it called it.

    python3 tests/clients/original BASE_URL     such as http://127.0.0.1:8000; needs Python 3.11 and requests

Each call names the status that the original answered (or should have) and ours; where they differ it names a key of
DEVIATIONS. Prints a Markdown table and exits with 0 when all is as expected, every deviation was met, and every
operation was called. Makes new organizations each time, so that it can be run again on the same server. Three log-ins
of a run fail: after seven runs in a row it waits as long as the server makes failed log-ins wait, up to 30 s each.
"""
import base64
import json
import sys

sys.dont_write_bytecode = True

DEVIATIONS = {
    "admins-only": "Organizations, teams and users are changed by admins; the original let every member, viewers too.",
    "agents-deleted": "A deleted agent configuration is gone and its name free; the original kept it, inactive.",
    "bodies-agree": "An organization_id or team_id in a body that is not the path's is 422; it was passed over.",
    "created": "A create answers 201, not 200.",
    "cursor-opaque": "A cursor is what next_cursor said; the id of the last item is 400.",
    "duplicate": "What exists already is 409, not 400 (or 500); detail still says 'already exists'.",
    "editor": "The role editor is taken, and means member; the original refused it.",
    "email-free-again": "E-mail and username of a deleted user are free again.",
    "email-per-organization": "E-mail and username are unique in an organization, the original's were everywhere; to log in by an e-mail that several know takes the organization's name.",
    "envelope": "Lists of organizations and teams are {items, next_cursor, has_more}, not bare arrays.",
    "etag-taken": "If-Match takes an ETag as it was read, such as \"v1\"; the original knew the bare number only.",
    "founded": "An organization is founded by signing up, whose user is its admin; POST /organizations is 405.",
    "home-team": "A user is not taken out of their home team (409); the original deleted the user.",
    "invalid-detail": "The detail of a 422 is a sentence, and errors[] says where; the original's was a list.",
    "key-other-team": "An idempotency_key that another team of the organization used is 409; it gave that incident.",
    "key-per-organization": "An idempotency_key counts in one organization; the original gave out another's incident.",
    "last-admin": "The last admin's removal is 409, not 400.",
    "leaves-team": "Taking a member out of a further team leaves the user be; the original deleted the user.",
    "malformed": "A body that is not JSON is 400, not 422.",
    "members-write": "Members write incidents, agent configurations and statistics, as its README said; they got 403.",
    "metric-names": "http_requests_total begins with brownie_ and has labels route and status, not endpoint and status_code.",
    "newest-first": "Lists begin with the newest; users and agent configurations came in the order of their ids.",
    "no-promotion": "Nobody gives themselves another role.",
    "null-refused": "null for what cannot be empty is 422; the original answered 500.",
    "okta-userinfo": "GET /okta/userinfo is GET /auth/me; the original answered 501, or a placeholder.",
    "own-organization": "An admin sees and changes their own organization only; the original's saw everybody's.",
    "reopening": "Reopening an incident takes resolved_at away; the original kept it.",
    "second-team": "POST members adds a further team; the original moved the user there.",
    "stale-version": "A version that is not the latest is 412; it was 409 for agent configurations, else unchecked.",
    "stamped-at-create": "An incident made as resolved has resolved_at; the original set started_at only.",
    "strangers": "What belongs to another organization is 404, not 403.",
    "token-claims": "An access token has no email and no roles; GET /auth/me tells them.",
    "transitions": "A closed or cancelled incident is reopened before it is resolved (409); any state followed any.",
    "unknown-assignee": "An assignee who does not exist is 422; the original answered 500.",
    "unknown-fields": "Fields of a new thing and parameters that do not exist are 422; the original passed over them. PUT still does.",
    "version-counts": "Every change counts the version up; the original's incidents stayed at 1.",
    "version-number": "GET /health says the version of this service, not 0.1.0.",
    "version-required": "A change or delete without If-Match is 428; the original asked for none.",
    "works": "Works; the original answered 500.",
    "zone-required": "A time without a zone is 422; the original took it for UTC.",
}

# After the table, which is what one reads first.
from book import (BASE, RUN, STRANGE, Caller, ask, check, close, differs, employ, found, founder, holds, http,
                           same, says, somebody, table)
import work


def root_routes():
    health = ask("is it up", "GET /health", 200, headers={"Origin": "http://localhost:3000"})
    same(health, "status and database", ("healthy", "healthy"), (health.json()["status"], health.json()["database"]))
    same(health, "timestamp", True, "timestamp" in health.json())
    same(health, "CORS", ("http://localhost:3000", "true"),
         tuple(health.headers.get(f"Access-Control-Allow-{h}") for h in ("Origin", "Credentials")))
    differs(health, "version-number", "is 0.1.0", True, False, health.json()["version"] == "0.1.0")
    metrics = ask("scrape", "GET /metrics", 200)
    same(metrics, "type", "text/plain", metrics.headers["Content-Type"].split(";")[0])
    same(metrics, "has http_requests_total", True, "http_requests_total" in metrics.text)
    differs(metrics, "metric-names", "has label endpoint", True, False, "endpoint=" in metrics.text)
    for operation in ("GET /docs", "GET /redoc"):
        page = ask("page", operation, 200)
        same(page, "type", "text/html", page.headers["Content-Type"].split(";")[0])
    document = ask("document", "GET /openapi.json", 200)
    same(document, "OpenAPI", "3.1", document.json()["openapi"][:3])


def signing_up_and_logging_in():
    me = found("login")
    body = founder("login")
    says(ask("the same again", "POST /auth/signup", 400, 409, "duplicate", body=body), "already exists")
    other = dict(founder("login2"), organization_name=body["organization_name"])
    says(ask("same organization name", "POST /auth/signup", 500, 409, "duplicate", body=other), "already exists")
    credentials = {"email": body["email"], "password": body["password"]}
    token = holds(ask("log in", "POST /auth/login", 200, body=credentials), "Token")
    twin = dict(founder("twin"), email=body["email"], password="another horse")
    ask("same e-mail, new organization", "POST /auth/signup", 400, 201, "email-per-organization", body=twin)
    ask("log in by it alone", "POST /auth/login", 200, 401, "email-per-organization", body=credentials)
    named = dict(credentials, organization=me.send("GET /organizations/{org_id}").json()["slug"])
    ask("log in, the organization named", "POST /auth/login", 200, body=named)
    twin = dict(founder("twin2"), username=body["username"])
    ask("same username, new organization", "POST /auth/signup", 500, 201, "email-per-organization", body=twin)
    short = ask("short password", "POST /auth/signup", 422, body=dict(founder("short"), password="short"))
    differs(short, "invalid-detail", "detail of 422", "list", "str", type(short.json()["detail"]).__name__)
    ask("bad username", "POST /auth/signup", 422, body=dict(founder("short"), username="a b"))
    check("token_type and expires_in", ("bearer", 3600), (token["token_type"], token["expires_in"]))
    payload = token["access_token"].split(".")[1]
    claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    check("claims sub and org_id of the access token", (me.id, me.org), (claims.get("sub"), claims.get("org_id")))
    wrong = ask("wrong password", "POST /auth/login", 401, body=dict(credentials, password="wrong horse"))
    differs(wrong, "token-claims", "email and roles in the token", True, False, bool({"email", "roles"} & set(claims)))
    says(wrong, "Incorrect email or password")
    nobody = ask("unknown e-mail", "POST /auth/login", 401, body=dict(credentials, email=f"nobody-{RUN}@example.com"))
    says(nobody, "Incorrect email or password")
    ask("not an e-mail", "POST /auth/login", 422, body=dict(credentials, email="nobody"))
    broken = http.post(BASE + "/api/v1/auth/login", data="{", headers={"Content-Type": "application/json"}, timeout=30)
    broken.operation = wrong.operation
    differs(broken, "malformed", "not JSON", 422, 400, broken.status_code)
    mine = holds(me.ask("mine", "GET /auth/me", 200), "Me")
    came = tuple(mine[k] for k in ("email", "role", "is_active", "is_verified"))
    check("GET /auth/me", (body["email"], "admin", True, False), came)
    ask("no token", "GET /auth/me", 401)
    Caller("x.y.z").ask("bad token", "GET /auth/me", 401)


def okta_that_is_not_set_up():
    says(ask("not set up", "GET /okta/login", 501), "not implemented")
    ask("not set up", "GET /okta/callback", 501, query={"code": "c", "state": "s"})
    says(ask("not set up", "GET /auth/okta/login", 501), "not implemented")
    says(ask("not set up", "GET /auth/okta/callback", 501), "not implemented")
    found("okta").ask("not set up", "GET /okta/userinfo", 501, 200, "okta-userinfo")


def another_organization():
    me = found("founder")
    body = {"name": f"More {RUN}", "slug": f"more-{RUN}", "description": None, "is_active": True,
            "max_teams": 10, "max_users_per_team": 50}
    me.ask("create", "POST /organizations", 200, 405, "founded", body)


def organizations():
    me, other = found("orgs"), found("neighbour")
    one = "GET /organizations/{org_id}"
    listed = me.ask("list", "GET /organizations", 200)
    differs(listed, "envelope", "answer is a", "list", "dict", type(listed.json()).__name__)
    differs(listed, "own-organization", "an admin sees the neighbour's", True, False, other.org in listed.text)
    own = holds(me.ask("own", one, 200), "Org")
    limits = (own["slug"], own["max_teams"], own["max_users_per_team"])
    check("slug and limits of a new organization", (f"orgs-{RUN}", 10, 50), limits)
    says(me.ask("unknown", one, 404, org_id=STRANGE), "not found")
    says(me.ask("neighbour's", one, 200, 404, "own-organization", org_id=other.org), "not found")
    put = "PUT /organizations/{org_id}"
    changed = holds(me.change("change", put, {"description": "changed", "max_teams": 20}), "Org")
    came = tuple(changed[k] for k in ("description", "max_teams", "name"))
    check("PUT applies what is there, and leaves the rest", ("changed", 20, own["name"]), came)
    taken = me.ask("taken slug", put, 500, 409, "duplicate", {"slug": f"neighbour-{RUN}"}, version="2")
    says(taken, "already exists")
    me.ask("null name", put, 500, 422, "null-refused", {"name": None}, version="2")
    me.ask("read, change, send back", put, 200, body=changed, version="2")
    me.ask("neighbour's", put, 200, 404, "own-organization", {"description": "mine"}, version="2", org_id=other.org)
    member = employ(me, "member")
    member.ask("by a member", put, 200, 403, "admins-only", {"description": "mine"}, version="2")
    me.ask("unknown", put, 404, body={"description": "x"}, version="2", org_id=STRANGE)


def teams():
    me, other = found("teams"), found("others")
    post, put, one = "POST /organizations/{org_id}/teams", "PUT /teams/{team_id}", "GET /teams/{team_id}"
    body = {"name": "Ops", "slug": "ops", "description": "d", "is_active": True, "permissions": {},
            "organization_id": me.org}
    team = holds(me.ask("create", post, 200, 201, "created", body), "Team")
    says(me.ask("same name", post, 400, 409, "duplicate", dict(body, slug="x")), "already exists")
    says(me.ask("same slug", post, 400, 409, "duplicate", dict(body, name="X")), "already exists")
    me.ask("another organization_id in the body", post, 200, 422, "bodies-agree", dict(body, organization_id=other.org))
    me.ask("neighbour's", post, 403, 404, "strangers", body, org_id=other.org)
    employ(me, "viewer").ask("by a viewer", post, 200, 403, "admins-only", body)
    says(me.ask("unknown", one, 404, team_id=STRANGE), "not found")
    me.ask("neighbour's", one, 403, 404, "strangers", team_id=other.team)
    holds(me.ask("one", one, 200, team_id=team["id"]), "Team")
    changed = me.change("change", put, {"is_active": False}, team_id=team["id"]).json()
    check("PUT applies what is there, and leaves the rest", ("Ops", False), (changed["name"], changed["is_active"]))
    employ(me, "viewer").ask("by a viewer", put, 200, 403, "admins-only", {"name": "x"}, version="1")
    me.ask("neighbour's", put, 403, 404, "strangers", {"name": "x"}, version="1", team_id=other.team)
    listed = me.ask("list", "GET /organizations/{org_id}/teams", 200)
    differs(listed, "envelope", "answer is a", "list", "dict", type(listed.json()).__name__)
    same(listed, "hides inactive ones", [me.team], [t["id"] for t in listed.json()["items"]])
    me.ask("neighbour's", "GET /organizations/{org_id}/teams", 403, 404, "strangers", org_id=other.org)


def members_of_a_team():
    me, other = found("members"), found("nobodys")
    user, one = employ(me, "member"), "/teams/{team_id}/members/{user_id}"
    post, put, delete = "POST /teams/{team_id}/members", f"PUT {one}", f"DELETE {one}"
    body = {"name": "Second", "slug": "second", "organization_id": me.org}
    team = me.ask("create", "POST /organizations/{org_id}/teams", 200, 201, "created", body).json()["id"]
    added = me.ask("add", post, 200, 201, "created", {"user_id": user.id}, team_id=team)
    check("default role of a member", "member", holds(added, "TeamMember")["role"])
    home = me.ask("one", "GET /users/{user_id}", 200, user_id=user.id).json()["team_id"]
    differs(added, "second-team", "moved there", True, False, home == team)
    says(me.ask("unknown user", post, 404, body={"user_id": STRANGE}, team_id=team), "not found")
    me.ask("neighbour's user", post, 400, 404, "strangers", {"user_id": other.id}, team_id=team)
    user.ask("by a member", post, 403, body={"user_id": user.id}, team_id=team)
    me.ask("no If-Match", put, 500, 428, "version-required", {"role": "viewer"}, team_id=team, user_id=user.id)
    changed = me.ask("change", put, 500, 200, "works", {"role": "admin"}, version="1", team_id=team, user_id=user.id)
    check("role after PUT", "admin", holds(changed, "TeamMember")["role"])
    me.ask("unknown", put, 404, body={"role": "viewer"}, version="1", team_id=team, user_id=STRANGE)
    left = me.change("take out", delete, version="2", team_id=team, user_id=user.id)
    still = me.send("GET /users/{user_id}", user_id=user.id).status_code
    differs(left, "leaves-team", "user is gone", True, False, still == 404)
    me.ask("home team", delete, 200, 409, "home-team", version="1", team_id=me.team, user_id=user.id)
    says(me.ask("not in it", delete, 404, version="2", team_id=team, user_id=user.id), "not found")


def users():
    me, other = found("users"), found("abroad")
    post, put, one = "POST /organizations/{org_id}/users", "PUT /users/{user_id}", "GET /users/{user_id}"
    get = "GET /organizations/{org_id}/users"
    body = somebody(me, "member")
    user = holds(me.ask("create", post, 200, 201, "created", body), "User")
    check("secrets in a user", set(), {"password", "password_hash"} & set(user))
    twin = somebody(me, "member")
    says(me.ask("same e-mail", post, 400, 409, "duplicate", dict(twin, email=body["email"])), "already exists")
    says(me.ask("same username", post, 400, 409, "duplicate", dict(twin, username=body["username"])), "already exists")
    says(me.ask("unknown team", post, 404, body=dict(twin, team_id=STRANGE)), "not found")
    me.ask("role in upper case", post, 422, body=dict(twin, role="ADMIN"))
    me.ask("preferences null", post, 200, 201, "created", dict(somebody(me, "member"), preferences=None))
    me.ask("another organization_id in the body", post, 200, 422, "bodies-agree", dict(twin, organization_id=other.org))
    me.ask("neighbour's", post, 403, 404, "strangers", twin, org_id=other.org)
    me.ask("role editor", post, 422, 201, "editor", somebody(me, "editor"))
    me.ask("no password", post, 200, 201, "created", dict(somebody(me, "viewer"), password=None))
    member, newest = employ(me, "member"), employ(me, "viewer")
    newest.ask("by a viewer", post, 200, 403, "admins-only", twin)
    first = me.ask("first page", get, 200, query={"limit": 4})
    page = holds(first, "Page")
    differs(first, "newest-first", "newest is first", False, True, page["items"][0]["id"] == newest.id)
    rest = me.ask("next page", get, 200, query={"limit": 4, "cursor": page["next_cursor"]}).json()
    everybody = {u["id"] for u in page["items"] + rest["items"]}
    check("pages of seven users by four", (7, False), (len(everybody), rest["has_more"]))
    me.ask("last id as cursor", get, 200, 400, "cursor-opaque", query={"cursor": user["id"]})
    me.ask("limit 0", get, 422, query={"limit": 0})
    me.ask("limit 101", get, 422, query={"limit": 101})
    me.ask("cursor that is none", get, 400, query={"cursor": "x"})
    me.ask("unknown parameter", get, 200, 422, "unknown-fields", query={"page": 1})
    me.ask("neighbour's", get, 403, 404, "strangers", org_id=other.org)
    says(me.ask("unknown", one, 404, user_id=STRANGE), "not found")
    me.ask("neighbour's", one, 403, 404, "strangers", user_id=other.id)
    renamed = member.change("own name", put, {"full_name": "New"}, user_id=member.id)
    same(renamed, "full_name", "New", renamed.json()["full_name"])
    member.ask("own role", put, 200, 403, "no-promotion", {"role": "admin"}, version="2", user_id=member.id)
    member.ask("somebody else", put, 403, body={"full_name": "x"}, version="1", user_id=newest.id)
    taken = me.ask("taken e-mail", put, 500, 409, "duplicate", {"email": body["email"]}, version="2", user_id=member.id)
    says(taken, "already exists")
    me.ask("null e-mail", put, 500, 422, "null-refused", {"email": None}, version="2", user_id=member.id)
    me.ask("password, passed over", put, 200, body={"password": "another horse"}, version="2", user_id=member.id)
    me.ask("last admin", "DELETE /users/{user_id}", 400, 409, "last-admin", version="1", user_id=me.id)
    member.ask("by a member", "DELETE /users/{user_id}", 403, version="1", user_id=newest.id)
    me.change("delete", "DELETE /users/{user_id}", user_id=member.id)
    says(me.ask("deleted", one, 404, user_id=member.id), "not found")
    member.ask("token of a deleted user", "GET /auth/me", 401)
    ask("deleted user", "POST /auth/login", 401, body={"email": member.email, "password": "battery staple"})
    again = dict(somebody(me, "member"), email=member.email, username=member.username)
    me.ask("e-mail of a deleted user", post, 400, 201, "email-free-again", again)


FLOWS = [root_routes, signing_up_and_logging_in, okta_that_is_not_set_up, another_organization, organizations, teams,
         members_of_a_team, users, work.incidents, work.agent_configs, work.statistics]


def main():
    for flow in FLOWS:
        try:
            flow()
        except (KeyError, ValueError) as error:  # what an answer that failed above does not have
            check(f"{flow.__name__} goes to its end", None, error)
    failures = close(DEVIATIONS)
    table(DEVIATIONS)
    print("\n" + "\n".join(f"FAILED {failure}" for failure in failures) if failures else "\nall as expected")
    return 1 if failures else 0


sys.exit(main())
