"""Forged, stale and broken credentials over HTTP: each must be refused the same way.

    python3 -m venv V && V/bin/pip install schemathesis==4.32.5      (for its jsonschema_rs)
    BASE_URL=http://127.0.0.1:8000 METADATA_JWT_SECRET=... V/bin/python tests/clients/tokens.py

METADATA_JWT_SECRET is what the server was started with: with it, tokens that only lie about one thing are
signed properly. Refused means: 401, WWW-Authenticate: Bearer, and a problem that fits the document.
"""

import base64
import hashlib
import hmac
import http.client
import json
import os
import sys
import time
import uuid
from urllib.parse import urlsplit

import jsonschema_rs

BASE_URL = urlsplit(os.environ.get("BASE_URL", "http://127.0.0.1:8000"))
SECRET = os.environ.get("METADATA_JWT_SECRET", "").encode()
PASSWORD = "correct horse battery"
ME = "/api/v1/auth/me"


def ask(method, path, headers=(), body=None):
    """Sends these header lines as they are, twice the same one, too."""
    connection = http.client.HTTPConnection(BASE_URL.hostname, BASE_URL.port, timeout=10)
    connection.putrequest(method, path, skip_accept_encoding=True)
    for name, value in headers:
        connection.putheader(name, value)
    if body is not None:
        body = body if isinstance(body, bytes) else json.dumps(body).encode()
        connection.putheader("Content-Type", "application/json")
        connection.putheader("Content-Length", str(len(body)))
    connection.endheaders(body)
    answer = connection.getresponse()
    text = answer.read()
    connection.close()
    return answer, text


def get(method, path, token=None, body=None, etag=None):
    headers = [("Authorization", f"Bearer {token}")] if token else []
    answer, text = ask(method, path, headers + ([("If-Match", etag)] if etag else []), body)
    assert answer.status < 300, f"{method} {path}: expected success, got {answer.status} {text}"
    return json.loads(text)


def encode(raw):
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def decode(part):
    return json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))


def sign(header, payload, secret=SECRET, digest=hashlib.sha256):
    payload = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    signed = f"{encode(json.dumps(header).encode())}.{encode(payload)}"
    return f"{signed}.{encode(hmac.new(secret, signed.encode(), digest).digest())}"


def bearer(token):
    return [("Authorization", f"Bearer {token}")]


def sign_up(name):
    return get("POST", "/api/v1/auth/signup", body={
        "email": f"{name}@example.com", "username": name, "password": PASSWORD,
        "organization_name": name, "team_name": "SRE"})


def token_after(method, path, body=None, etag=None):
    """The token of somebody who did that to themself. (Log-ins would be delayed where many are wrong.)"""
    name = "t" + uuid.uuid4().hex[:12]
    token = sign_up(name)["access_token"]
    me = get("GET", ME, token)
    other = {"email": f"{name}@example.org", "username": name + "2", "password": PASSWORD,
             "team_id": me["team_id"], "role": "admin"}  # an organization's last admin may not leave
    get("POST", f"/api/v1/organizations/{me['org_id']}/users", token, other)
    get(method, path.format(me["id"]), token, body, etag)
    return token


class Sessions:
    """An admin, and credentials that were good once."""

    def __init__(self):
        name = "t" + uuid.uuid4().hex[:12]
        tokens = sign_up(name)
        self.access, self.refresh = tokens["access_token"], tokens["refresh_token"]
        self.me = get("GET", ME, self.access)
        self.of_deleted = token_after("DELETE", "/api/v1/users/{}", etag='"v1"')
        self.of_deactivated = token_after("PATCH", "/api/v1/users/{}", {"is_active": False}, '"v1"')
        self.of_logged_out = token_after("POST", "/api/v1/auth/logout")
        self.of_changed = token_after("POST", "/api/v1/users/{}/password",
                                      {"current_password": PASSWORD, "new_password": PASSWORD + "2"})
        self.key = get("POST", "/api/v1/api-keys", self.access, {"name": name, "role": "admin"})["key"]
        revoked = get("POST", "/api/v1/api-keys", self.access, {"name": name + "2", "role": "admin"})
        get("DELETE", f"/api/v1/api-keys/{revoked['id']}", self.access, etag=f'"v{revoked["version"]}"')
        self.revoked_key = revoked["key"]


def attacks(sessions):
    """Yields the name of each attack and the header lines of its request."""
    good = sessions.access
    header, payload, signature = good.split(".")
    head, claims = decode(header), decode(payload)
    now = int(time.time())
    hs256 = {"typ": "JWT", "alg": "HS256"}

    for alg in ("none", "None", "NONE", "nOnE", ""):
        unsigned = f"{encode(json.dumps(hs256 | {'alg': alg}).encode())}.{payload}"
        yield f"alg {alg!r}, no signature", bearer(unsigned + ".")
        yield f"alg {alg!r}, the old signature", bearer(f"{unsigned}.{signature}")
    yield "another secret", bearer(sign(hs256, claims, b"0" * 48))
    yield "an empty secret", bearer(sign(hs256, claims, b""))
    for alg in ("RS256", "ES256", "PS256", "EdDSA", "HS384", "HS512", "hs256", "XS256"):
        yield f"a header of {alg}, a signature of HS256", bearer(sign(hs256 | {"alg": alg}, claims))
    yield "signed by HS512", bearer(sign(hs256 | {"alg": "HS512"}, claims, digest=hashlib.sha512))
    yield "no alg", bearer(sign({"typ": "JWT"}, claims))
    yield "another typ", bearer(sign(hs256 | {"typ": "at+jwt"}, claims))

    for kid in ("other", "", "../../etc/passwd", "/dev/null", "../../../../dev/null", "' OR 1=1 --", "a\0b", "k" * 5000):
        yield f"kid {kid[:30]!r}", bearer(sign(hs256 | {"kid": kid}, claims))
        yield f"kid {kid[:30]!r}, an empty secret", bearer(sign(hs256 | {"kid": kid}, claims, b""))
    yield "a kid that is no text", bearer(sign(hs256 | {"kid": 1}, claims))
    elsewhere = "http://127.0.0.1:9/keys.json"
    own_key = {"kty": "oct", "k": encode(b"0" * 48)}
    for name, value in {"jku": elsewhere, "x5u": elsewhere, "jwk": own_key, "x5c": ["MIIB"], "x5t": "AA",
                        "crit": ["exp"], "b64": False, "zip": "DEF"}.items():
        yield f"{name} in the header", bearer(sign(hs256 | {name: value}, claims))
        yield f"{name} in the header, another secret", bearer(sign(hs256 | {name: value}, claims, b"0" * 48))

    wrong = {
        "expired": {"iat": now - 7200, "nbf": now - 7200, "exp": now - 60},
        "expired in 1970": {"exp": 0}, "expired before 1970": {"exp": -(2**63)},
        "not yet valid": {"nbf": now + 600}, "never valid": {"nbf": 2**63 - 1},
        "exp is a text": {"exp": str(now + 600)}, "exp is null": {"exp": None}, "exp is no number": {"exp": True},
        "exp past 64 bits": {"exp": 10**30}, "exp as 1e400": {"exp": 10**400},
        "another audience": {"aud": "somebody-else"}, "a list of audiences": {"aud": ["brownie-api", "else"]},
        "another issuer": {"iss": "https://evil.example.com"}, "no issuer's name": {"iss": ""},
        "an unknown user": {"sub": str(uuid.uuid4())}, "a user who is no id": {"sub": "admin"},
        "another organization": {"org_id": str(uuid.uuid4())}, "an organization that is no id": {"org_id": "1 OR 1=1"},
        "an unknown session": {"sid": str(uuid.uuid4())}, "a later generation": {"gen": 2**63 - 1},
        "an earlier generation": {"gen": -1},
    }
    for name, change in wrong.items():
        yield f"signed properly: {name}", bearer(sign(hs256, claims | change))
    for name in ("iss", "aud", "sub", "org_id", "sid", "gen", "exp", "nbf"):
        yield f"signed properly: without {name}", bearer(sign(hs256, {k: v for k, v in claims.items() if k != name}))
    for name, value in {"null": None, "a list": [], "a text": "x", "an empty object": {}}.items():
        yield f"signed properly: the payload is {name}", bearer(sign(hs256, value))

    altered = encode(json.dumps(claims | {"sub": str(uuid.uuid4())}).encode())
    yield "an altered payload, the old signature", bearer(f"{header}.{altered}.{signature}")
    yield "an altered header, the old signature", bearer(f"{encode(json.dumps(head | {'x': 1}).encode())}.{payload}.{signature}")
    flipped = ("A" if signature[5] != "A" else "B").join((signature[:5], signature[6:]))
    yield "one letter of the signature", bearer(f"{header}.{payload}.{flipped}")
    yield "half of the signature", bearer(f"{header}.{payload}.{signature[:20]}")
    yield "no signature", bearer(f"{header}.{payload}.")
    yield "two parts", bearer(f"{header}.{payload}")
    yield "four parts", bearer(f"{good}.{signature}")
    yield "padded", bearer(f"{header}==.{payload}=.{signature}=")
    yield "three parts of garbage", bearer("aaaa.bbbb.cccc")
    yield "three parts of nothing", bearer("..")
    yield "three parts that are not base64", bearer("!!!.%%%.***")
    yield "bytes that are not UTF-8", [("Authorization", b"Bearer \xff\xfe.\x80.\x81")]
    yield "20 kB of letters", bearer("a" * 20_000)
    yield "20 kB, signed properly", bearer(sign(hs256, claims | {"padding": "x" * 20_000}))
    yield "20 kB of parts", bearer("." * 20_000)
    yield "nested 5,000 deep, signed properly", bearer(sign(hs256, b"[" * 5000))
    yield "a claim twice, signed properly", bearer(sign(hs256, json.dumps(claims).encode()[:-1] + b', "exp": 1}'))

    yield "a refresh token", bearer(sessions.refresh)
    yield "of a deleted user", bearer(sessions.of_deleted)
    yield "of a deactivated user", bearer(sessions.of_deactivated)
    yield "of a session that was ended", bearer(sessions.of_logged_out)
    yield "of before the password was changed", bearer(sessions.of_changed)
    yield "a revoked API key", bearer(sessions.revoked_key)
    yield "a revoked API key by X-API-Key", [("X-API-Key", sessions.revoked_key)]
    yield "an API key, one letter changed", bearer(sessions.key[:-1] + ("A" if sessions.key[-1] != "A" else "B"))
    yield "the beginning of an API key", bearer("bak_")
    yield "an access token by X-API-Key", [("X-API-Key", good)]
    yield "an empty X-API-Key", [("X-API-Key", "")]

    yield "nothing", []
    yield "an empty Authorization", [("Authorization", "")]
    yield "Bearer and nothing", [("Authorization", "Bearer")]
    yield "Bearer and a space", [("Authorization", "Bearer ")]
    yield "no scheme", [("Authorization", good)]
    basic = base64.b64encode(f"{sessions.me['email']}:{PASSWORD}".encode()).decode()
    yield "Basic", [("Authorization", f"Basic {basic}")]
    yield "Basic with a token", [("Authorization", f"Basic {good}")]
    yield "Token as scheme", [("Authorization", f"Token {good}")]
    yield "Bearer twice in a value", [("Authorization", f"Bearer Bearer {good}")]
    yield "two tokens in a value", [("Authorization", f"Bearer {good}, Bearer {good}")]
    yield "two Authorization headers, the bad one first", bearer("aaaa.bbbb.cccc") + bearer(good)
    yield "two Authorization headers, the good one first", bearer(good) + bearer("aaaa.bbbb.cccc")
    yield "two X-API-Key headers, the good one first", [("X-API-Key", sessions.key), ("X-API-Key", "bak_x")]
    yield "a bad token beside a good API key", bearer("aaaa.bbbb.cccc") + [("X-API-Key", sessions.key)]
    yield "a token in a cookie", [("Cookie", f"access_token={good}; Authorization=Bearer {good}")]


def requests_of(attack, sessions):
    """The same credential to read, to write, with a bad body, and for what does not exist."""
    yield "GET", ME, attack, None
    team = sessions.me["team_id"]
    yield "POST", f"/api/v1/teams/{team}/incidents", attack, b"{not json"
    yield "PATCH", f"/api/v1/users/{uuid.uuid4()}", attack, {"role": "admin"}


def faults_of(answer, text, is_a_problem):
    """Says what an answer lacks of a refusal."""
    if answer.status != 401:
        yield f"status: expected 401, got {answer.status} {text[:200]}"
        return
    if answer.getheader("WWW-Authenticate") != "Bearer":
        yield f"WWW-Authenticate: expected Bearer, got {answer.getheader('WWW-Authenticate')}"
    if answer.getheader("Content-Type") != "application/problem+json":
        yield f"Content-Type: expected application/problem+json, got {answer.getheader('Content-Type')}"
        return
    problem = json.loads(text)
    yield from (f"problem: {error.message}" for error in is_a_problem.iter_errors(problem))
    if problem.get("code") != "unauthenticated":
        yield f"code: expected unauthenticated, got {problem.get('code')}"


def main():
    assert SECRET, "expected METADATA_JWT_SECRET, as the server has it"
    document = get("GET", "/openapi.json")
    is_a_problem = jsonschema_rs.validator_for(
        {"$ref": "#/components/schemas/Problem", "components": document["components"]}, validate_formats=True)
    sessions = Sessions()
    claims = decode(sessions.access.split(".")[1])
    own = sign({"typ": "JWT", "alg": "HS256"}, claims)
    for name, headers in {"the token": bearer(sessions.access), "one of our making": bearer(own),
                          "the API key": [("X-API-Key", sessions.key)]}.items():
        answer, text = ask("GET", ME, headers)
        assert answer.status in (200, 403), f"{name} should be good, got {answer.status} {text}: METADATA_JWT_SECRET?"
    passed = failed = 0
    for name, attack in attacks(sessions):
        for method, path, headers, body in requests_of(attack, sessions):
            answer, text = ask(method, path, headers, body)
            faults = list(faults_of(answer, text, is_a_problem))
            if faults:
                failed += 1
                print(f"FAILED: {name}: {method} {path}: {'; '.join(faults)}")
            else:
                passed += 1
    get("GET", ME, sessions.access)
    print(f"{passed} passed, {failed} failed")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
