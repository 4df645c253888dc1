"""What hooks.py lets Schemathesis find at the service: an organization with something in it."""

import os
import random
import uuid
from collections import defaultdict

import requests

API = os.environ["BASE_URL"] + "/api/v1"
HTTP = requests.Session()
CHANCE = random.Random(1)
PASSWORD = "correct horse battery"


def unique():
    return "x" + uuid.uuid4().hex[:12]


def call(method, path, token=None, etag=None, **rest):
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    headers |= {"If-Match": etag} if etag else {}
    answer = HTTP.request(method, API + path, headers=headers, timeout=10, **rest)
    assert answer.ok, f"{method} {path}: expected success, got {answer.status_code} {answer.text}"
    return answer


def sign_up():
    name = unique()
    body = {"email": f"{name}@example.com", "password": PASSWORD, "username": name}
    return call("POST", "/auth/signup", json=body | {"organization_name": name, "team_name": "SRE"}).json()


class World:
    """An organization of our own with something of everything, and who calls:

    - admin: its founder, whom nothing that is asked for puts out of the door
    - key: the same by X-API-Key
    - nobody: no credential
    - leaver: the founder, for what ends their session; after that, of the next organization
    """

    def __init__(self, caller):
        self.caller = caller
        self.etags = {}  # of what the parameters of a path name
        self.left = set()  # tokens of sessions that were ended
        self.found()

    def found(self):
        self.founder = sign_up()["access_token"]
        me = self.ask("GET", "/auth/me")
        self.founder_log_in = {"email": me["email"], "password": PASSWORD}
        self.org, self.team, self.caller_id = me["org_id"], me["team_id"], me["id"]
        self.make_room()
        self.real = defaultdict(list, org_id=[self.org], asset=["docs.js"])
        self.gone = defaultdict(list)
        self.key = self.make_key()
        self.leaver = None
        self.event = self.ask("GET", "/events?limit=1&wait=5")["items"][0]["id"]

    def ask(self, method, path, body=None):
        return call(method, path, self.founder, json=body).json()

    def make_room(self):
        """The organization may have as many teams and users as these runs want."""
        there = f"/organizations/{self.org}"
        etag = call("GET", there, self.founder).headers["etag"]
        room = {"max_teams": 1000, "max_users_per_team": 1000}
        self.etags[self.org,] = call("PATCH", there, self.founder, etag, json=room).headers["etag"]

    def make_key(self):
        return self.ask("POST", "/api-keys", {"name": unique(), "role": "admin"})

    def make_user(self, role="member"):
        body = {"email": f"{unique()}@example.com", "username": unique(), "password": PASSWORD,
                "team_id": self.team, "role": role}
        return self.ask("POST", f"/organizations/{self.org}/users", body)

    def make_team(self):
        return self.ask("POST", f"/organizations/{self.org}/teams", {"name": unique(), "slug": unique()})

    def make_incident(self):
        return self.ask("POST", f"/teams/{self.team}/incidents", {"title": "Disk full"})

    def make_agent_config(self):
        body = {"name": unique(), "agent_type": "incident_response", "config": {}}
        return self.ask("POST", f"/teams/{self.team}/agent-configs", body)

    def make_configuration(self):
        body = {"name": unique(), "config_type": "organization", "source": "a: 1\n", "source_format": "yaml"}
        return self.ask("POST", "/configs", body)

    def make_stat(self):
        body = {"metric_name": "m", "metric_type": "gauge", "value": 1, "timestamp": "2026-01-01T00:00:00Z"}
        return self.ask("POST", f"/teams/{self.team}/stats", body)

    MAKERS = {"user_id": make_user, "team_id": make_team, "incident_id": make_incident,
              "config_id": make_agent_config, "configuration_id": make_configuration, "stat_id": make_stat,
              "key_id": make_key}

    def make(self, name):
        made = self.MAKERS[name](self)
        self.etags[made["id"],] = f'"v{made["version"]}"'
        return made["id"]

    def pick(self, name):
        """Something real for a parameter of that name, if there is such a thing."""
        known = self.real[name]
        while name in self.MAKERS and len(known) < 2:
            known.append(self.make(name))
        return CHANCE.choice(known[-4:]) if known else None

    def pick_gone(self, name, path):
        """Something that was deleted, to be restored by a POST to that path."""
        gone = self.gone[name]
        if not gone:
            there = path.removeprefix("/api/v1").split("{")[0]
            id = self.make(name)
            self.etags[id,] = call("DELETE", there + id, self.founder, self.etags[id,]).headers["etag"]
            gone.append(id)
        return CHANCE.choice(gone)

    def pick_member(self):
        """A team and somebody in it."""
        known = self.real["member"]
        while len(known) < 2:
            team, user = self.make("team_id"), self.make("user_id")
            made = self.ask("POST", f"/teams/{team}/members", {"user_id": user, "role": "member"})
            self.etags[team, user] = f'"v{made["version"]}"'
            known.append((team, user))
        return CHANCE.choice(known)

    @staticmethod
    def forget(where, key):
        for known in where.values():
            known[:] = [one for one in known if one != (key if len(key) > 1 else key[0])]

    def token(self):
        if self.caller == "admin":
            return self.founder
        if self.leaver is None:
            self.found()
            self.make_user("admin")  # an organization's last admin may not leave
            self.leaver = self.founder
        return self.leaver
