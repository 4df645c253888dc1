"""The book that is kept: what was called, what the original answered, and what ours did."""
import sys
import time
import uuid

import requests

# CONTRACT 4.4 to 4.6. Those of OTHER are not in the original's own document, the 41 of OPERATIONS are.
OTHER = ["GET /docs", "GET /redoc", "GET /openapi.json"]
OPERATIONS = """GET /health|GET /metrics
POST /auth/login|POST /auth/signup|GET /auth/me|GET /auth/okta/login|GET /auth/okta/callback
GET /okta/login|GET /okta/callback|GET /okta/userinfo
POST /organizations|GET /organizations|GET /organizations/{org_id}|PUT /organizations/{org_id}
POST /organizations/{org_id}/teams|GET /organizations/{org_id}/teams|GET /teams/{team_id}|PUT /teams/{team_id}
POST /teams/{team_id}/members|PUT /teams/{team_id}/members/{user_id}|DELETE /teams/{team_id}/members/{user_id}
POST /organizations/{org_id}/users|GET /organizations/{org_id}/users
GET /users/{user_id}|PUT /users/{user_id}|DELETE /users/{user_id}
POST /teams/{team_id}/incidents|GET /teams/{team_id}/incidents
GET /incidents/{incident_id}|PUT /incidents/{incident_id}|DELETE /incidents/{incident_id}
POST /teams/{team_id}/agent-configs|GET /teams/{team_id}/agent-configs
GET /agent-configs/{config_id}|PUT /agent-configs/{config_id}|DELETE /agent-configs/{config_id}
POST /teams/{team_id}/stats|GET /teams/{team_id}/stats|GET /organizations/{org_id}/stats
GET /stats/{stats_id}|DELETE /stats/{stats_id}""".replace("\n", "|").split("|")
ROOT = ("/health", "/metrics", "/docs", "/redoc")
STAMPS = "id created_at updated_at"
ROW = STAMPS + " org_id organization_id created_by updated_by"
FIELDS = {  # CONTRACT 4.7
    "Token": "access_token token_type expires_in",
    "Me": "id email username full_name role org_id team_id is_active is_verified",
    "Org": STAMPS + " name slug description is_active max_teams max_users_per_team",
    "Team": ROW + " name slug description is_active permissions",
    "User": ROW + " email username full_name avatar_url is_active is_verified preferences team_id role"
    " deleted_at deleted_by",
    "TeamMember": "user_id role user",
    "Incident": ROW + " title description status priority assigned_to tags incident_metadata team_id idempotency_key"
    " version started_at resolved_at closed_at response_time_minutes resolution_time_minutes",
    "AgentConfig": ROW + " name description agent_type is_active config execution_timeout_seconds max_retries"
    " retry_delay_seconds triggers conditions tags config_metadata team_id version",
    "Stats": STAMPS + " org_id metric_name metric_type value count timestamp time_window labels description unit"
    " team_id organization_id",
    "Page": "items next_cursor has_more",
}

BASE = sys.argv[1].rstrip("/") if len(sys.argv) == 2 else sys.exit("usage: original BASE_URL")
RUN = uuid.uuid4().hex[:10]
STRANGE = str(uuid.uuid4())
http = requests.Session()
BUSY = time.monotonic() + 60
met, failures = set(), []
cases = {operation: [] for operation in OPERATIONS + OTHER}


def check(what, expected, came):
    """An assert that lets the rest run; what failed is told at the end."""
    failure = f"{what}: expected {expected!r}, came {came!r}"
    if expected != came and failure not in failures:
        failures.append(failure)


def same(answer, what, expected, came):
    """Both services tell `expected`."""
    check(f"{answer.operation}: {what}", expected, came)


def differs(answer, key, what, was, now, came):
    """The original told `was`, ours tells `now`."""
    met.add(key)
    check(f"{answer.operation}: {what} [{key}]", now, came)
    cases[answer.operation].append((what, was, came, key))


def says(answer, words):
    """The original's tests look for `words` in detail."""
    detail = str(answer.json().get("detail"))
    check(f"{answer.operation}: {answer.status_code} has {words!r} in detail {detail!r}", True, words in detail)


def holds(answer, schema):
    """Returns the body of an answer, which has every field that the original's had."""
    body = answer.json()
    missing = sorted(set(FIELDS[schema].split()) - set(body))
    check(f"{answer.operation}: {answer.status_code} lacks of {schema}", [], missing)
    return body


class Caller:
    """Somebody, or nobody, with a token; `org_id` and `team_id` in a path are theirs unless given."""

    def __init__(self, token=None, id=None, org=None, team=None, **others):
        self.token, self.id, self.org, self.team = token, id, org, team
        self.__dict__.update(others)

    def send(self, operation, body=None, query=None, headers={}, **ids):
        method, template = operation.split()
        filled = template.format(**{"org_id": self.org, "team_id": self.team, **ids})
        path = filled if template in ROOT else "/api/v1" + filled
        bearer = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        answer = http.request(method, BASE + path, json=body, params=query, headers={**bearer, **headers}, timeout=30)
        answer.operation = operation
        wait = int(answer.headers.get("Retry-After", 0))
        if answer.status_code == 429 and 0 < wait <= 30:  # after many runs: the delay of failed log-ins
            time.sleep(wait)
            return self.send(operation, body, query, headers, **ids)
        if answer.status_code == 503 and template == "/health" and time.monotonic() < BUSY:  # by other tests
            time.sleep(1)
            return self.send(operation, body, query, headers, **ids)
        return answer

    def ask(self, case, operation, was, now=None, key=None, body=None, query=None, version=None, headers={}, **ids):
        """Calls. `was` is the original's status, `now` ours with the key of the deviation; without: the same."""
        assert (now is None) == (key is None) and now != was, f"{operation}, {case}: a deviation has a status and a key"
        if version is not None:
            headers = {**headers, "If-Match": version}
        answer = self.send(operation, body, query, headers, **ids)
        met.update({key} - {None})
        cases[operation].append((case, was, answer.status_code, key))
        check(f"{operation}, {case} ({answer.text[:160]})", now or was, answer.status_code)
        if answer.status_code >= 400:
            check(f"{operation}, {case}: type of detail", str, type(answer.json().get("detail")))
        if answer.status_code == 401:
            same(answer, "WWW-Authenticate", "Bearer", answer.headers.get("WWW-Authenticate"))
        return answer

    def change(self, case, operation, body=None, version=None, **ids):
        """A PUT or DELETE as the original's client sent it, which is 428 here, and again with the version it has."""
        self.ask(f"{case}, no If-Match", operation, 200, 428, "version-required", body, **ids)
        version = version or self.send("GET " + operation.split()[1], **ids).headers["ETag"]
        answer = self.ask(case, operation, 200, body=body, version=version, **ids)
        if operation.startswith("DELETE"):
            said = answer.json().get("message", "")
            check(f"{operation}: message {said!r} has 'deleted successfully'", True, "deleted successfully" in said)
        return answer


ask = Caller().ask


def founder(name):
    """The body of a sign-up."""
    return {"email": f"{name}-{RUN}@example.com", "password": "correct horse", "username": f"{name}-{RUN}",
            "full_name": None, "organization_name": f"{name} {RUN}", "team_name": "First Team"}


def found(name):
    """Signs up; returns the admin of the new organization."""
    answer = ask("sign up", "POST /auth/signup", 200, 201, "created", body=founder(name))
    token = holds(answer, "Token")["access_token"]
    me = Caller(token).send("GET /auth/me").json()
    return Caller(token, me["id"], me["org_id"], me["team_id"])


def somebody(admin, role):
    """The body of a new user."""
    name = f"{role}-{uuid.uuid4().hex[:10]}"
    return {"email": f"{name}@example.com", "username": name, "full_name": "A Person", "avatar_url": None,
            "is_active": True, "is_verified": False, "preferences": {"theme": "dark"}, "password": "battery staple",
            "team_id": admin.team, "role": role, "organization_id": admin.org}


def employ(admin, role):
    """Makes a user, and logs them in."""
    body = somebody(admin, role)
    answer = admin.ask(f"create {role}", "POST /organizations/{org_id}/users", 200, 201, "created", body)
    credentials = {name: body[name] for name in ("email", "password")}
    token = ask("log in", "POST /auth/login", 200, body=credentials).json()["access_token"]
    user = holds(answer, "User")
    return Caller(token, user["id"], admin.org, admin.team, email=user["email"], username=user["username"])


def table(deviations):
    """Prints the book."""
    def word(what):
        return ("no", "yes")[what] if isinstance(what, bool) else what

    print("| operation | original | ours | deviation |\n|---|---|---|---|")
    for operation, calls in cases.items():
        calls = list(dict.fromkeys(calls))
        was, now = ("; ".join(f"{c[0]}: {word(c[i])}" for c in calls) for i in (1, 2))
        keys = sorted({c[3] for c in calls if c[3]}) or ["same"]
        failed = ["FAILED"] * any(failure.startswith((f"{operation}:", f"{operation},")) for failure in failures)
        print(f"| {operation} | {was} | {now} | {', '.join(failed + keys)} |")
    print("\n| deviation | what it is |\n|---|---|")
    print("\n".join(f"| {key} | {sentence} |" for key, sentence in deviations.items()))


def close(deviations):
    """Adds to the failures what was not called, and what was not met."""
    check("operations and paths", (41, 25), (len(OPERATIONS), len({o.split()[1] for o in OPERATIONS})))
    check("operations that were not called", [], [operation for operation, calls in cases.items() if not calls])
    check("deviations that were not met", [], sorted(set(deviations) - met))
    check("keys that DEVIATIONS does not have", [], sorted(met - set(deviations)))
    return failures
