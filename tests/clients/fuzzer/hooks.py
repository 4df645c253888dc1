"""What Schemathesis must know of this service; __main__.py starts it with these variables:
BASE_URL, CALLER (admin, key, nobody or leaver; see World) and REACHED (a file for what was reached)."""

import atexit
import json
import os
import re
import sys
from pathlib import Path

import jsonschema_rs
import requests
import schemathesis
from schemathesis.core.parameters import ParameterLocation

sys.path.append(str(Path(__file__).parent))
from world import CHANCE, PASSWORD, World, sign_up, unique  # noqa: E402

CALLER = os.environ["CALLER"]
DOCUMENT = requests.get(os.environ["BASE_URL"] + "/openapi.json", timeout=10).json()
PROBLEM = jsonschema_rs.validator_for(
    {"$ref": "#/components/schemas/Problem", "components": DOCUMENT["components"]}, validate_formats=True
)
WORLD = World(CALLER)
REACHED = set()
# The last part of a path that ends the caller's session, when it is about the caller.
ENDINGS = ("/logout", "/logout-all", "/password", "/revoke-sessions", "/users/{user_id}")


if CALLER in ("admin", "leaver"):

    @schemathesis.auth(refresh_interval=None)
    class Bearer:
        def get(self, case, context):
            return WORLD.token()

        def set(self, case, data, context):
            case.headers["Authorization"] = f"Bearer {data}"


elif CALLER == "key":

    @schemathesis.auth(refresh_interval=None)
    class Key:
        def get(self, case, context):
            return WORLD.key["key"]

        def set(self, case, data, context):
            case.headers["X-API-Key"] = data


@schemathesis.serializer("application/x-ndjson")
def ndjson(ctx, value):
    """To the document a body is a text: what is not the example's becomes the title of a line."""
    if not isinstance(value, str):
        return json.dumps(value).encode()
    return value.encode() if value.startswith("{") else json.dumps({"title": value[:500] or "none"}).encode()


def key(case):
    return tuple(case.path_parameters.values()) if isinstance(case.path_parameters, dict) else ()


def is_meant_well(case, location):
    return case.meta is None or not case.meta.is_negative_at(location)


@schemathesis.hook
def before_call(context, case, kwargs):
    """Three of four identifiers are real; versions are those that were read last."""
    if is_meant_well(case, ParameterLocation.PATH) and isinstance(case.path_parameters, dict):
        aim_at_what_is_there(case)
    if is_meant_well(case, ParameterLocation.BODY) and isinstance(case.body, dict):
        put_real_ids_into(case)
    if is_meant_well(case, ParameterLocation.QUERY) and isinstance(case.query, dict):
        for name in case.query:
            if name in ("team_id", "team") and CHANCE.random() < 0.75:
                case.query[name] = WORLD.pick("team_id")
            if name == "after":
                case.query[name] = WORLD.event
            if name == "wait":  # up to a minute: that it waits is shown elsewhere
                case.query[name] = 0
    if case.headers.get("Authorization", "").removeprefix("Bearer ") in WORLD.left:
        case.headers["Authorization"] = f"Bearer {WORLD.token()}"
    if is_meant_well(case, ParameterLocation.HEADER):
        if "If-Match" in case.headers and CHANCE.random() < 0.9:
            case.headers["If-Match"] = WORLD.etags.get(key(case), case.headers["If-Match"])
        if "Last-Event-ID" in case.headers:
            case.headers["Last-Event-ID"] = WORLD.event
        if "Idempotency-Key" in case.headers:
            case.headers["Idempotency-Key"] = unique()


def aim_at_what_is_there(case):
    is_stateful = case.meta is not None and "stateful" in str(case.meta.phase.name).lower()
    for name in case.path_parameters:
        is_gone = case.operation.path.endswith("/restore")
        real = WORLD.pick_gone(name, case.operation.path) if is_gone else WORLD.pick(name)
        if real and not is_stateful and CHANCE.random() < 0.75:
            case.path_parameters[name] = real
    if "user_id" in case.path_parameters and "team_id" in case.path_parameters and CHANCE.random() < 0.75:
        case.path_parameters["team_id"], case.path_parameters["user_id"] = WORLD.pick_member()
    elif CALLER == "leaver" and "user_id" in case.path_parameters:
        case.path_parameters["user_id"] = WORLD.caller_id
    elif case.method != "GET":
        others = {"user_id": WORLD.caller_id, "key_id": WORLD.key["id"]}
        for name, own in others.items():
            while case.path_parameters.get(name) == own:
                case.path_parameters[name] = WORLD.pick(name)


def put_real_ids_into(case):
    at = case.path_parameters if isinstance(case.path_parameters, dict) else {}
    real = {"organization_id": WORLD.org, "org_id": WORLD.org, "team_id": at.get("team_id", WORLD.team),
            "user_id": WORLD.pick("user_id"), "assigned_to": WORLD.caller_id}
    for name, value in real.items():
        if case.body.get(name) is not None and CHANCE.random() < 0.75:
            case.body[name] = value
    if case.operation.path.endswith("/signup") and CHANCE.random() < 0.25:
        case.body["email"] = unique() + "@example.com"
        case.body["organization_name"] = unique()
    # One log-in of ten is wrong: after too many, all from this address must wait.
    if case.operation.path.endswith("/auth/login") and CHANCE.random() < 0.9:
        case.body.update(WORLD.founder_log_in)
        case.body.pop("organization", None)
    if case.operation.path.endswith("/auth/refresh") and CHANCE.random() < 0.25:
        case.body["refresh_token"] = sign_up()["refresh_token"]
    if CALLER == "leaver" and case.operation.path.endswith("/password") and CHANCE.random() < 0.75:
        case.body["current_password"] = PASSWORD


@schemathesis.hook
def after_call(context, case, response):
    if not 200 <= response.status_code < 300:
        return
    REACHED.add(case.operation.label)
    if "etag" in response.headers:
        made = response.json().get("id") if response.status_code == 201 else None
        WORLD.etags[(made,) if made else key(case)] = response.headers["etag"][0]
    if case.method == "DELETE":
        WORLD.forget(WORLD.real, key(case))
    if case.operation.path.endswith("/restore"):
        WORLD.forget(WORLD.gone, key(case))
    if case.operation.path.endswith("/{org_id}") and case.method != "GET":
        WORLD.make_room()
    asked = case.body if isinstance(case.body, dict) else {}
    is_lesser = asked.get("role", "admin") != "admin" or asked.get("is_active") is False
    ends = case.operation.path.endswith(ENDINGS) and (case.method in ("POST", "DELETE") or is_lesser)
    if CALLER == "leaver" and ends:
        WORLD.left.add(WORLD.leaver)
        WORLD.leaver = None


@schemathesis.check
def errors_are_problem_documents(ctx, response, case):
    if response.status_code < 400 or response.request.method == "HEAD":
        return
    told = case.operation.definition.raw["responses"].get(str(response.status_code), {})
    if told.get("content") and "application/problem+json" not in told["content"]:
        return  # /health and /readyz describe what is ill
    kind = response.headers.get("content-type", ["nothing"])[0]
    assert kind == "application/problem+json", f"expected application/problem+json, got {kind}"
    problem = response.json()
    faults = [f"{'/'.join(map(str, e.instance_path))}: {e.message}" for e in PROBLEM.iter_errors(problem)]
    assert not faults, f"expected a problem document as in the document, got {faults}"
    status, code = response.status_code, problem["code"]
    assert problem["status"] == status, f"expected status {status} in the body, got {problem['status']}"
    assert problem["type"] == f"/problems/{code}", f"expected type /problems/{code}, got {problem['type']}"
    sent = response.headers.get("x-request-id", [None])[0]
    assert problem["request_id"] == sent, f"expected request_id {sent}, got {problem['request_id']}"
    if status == 401:
        challenge = response.headers.get("www-authenticate", [""])[0]
        assert challenge.startswith("Bearer"), f"expected WWW-Authenticate: Bearer with a 401, got {challenge!r}"


# What a schema cannot say, so that an answer to a request that fits it is right all the same.
BEYOND_SCHEMAS = re.compile(
    "|".join([
        r"invalid_cursor",  # a cursor is opaque, and belongs to its list
        r"stale_version",  # somebody was faster
        r"event_gone",  # only the service knows which events it has
        r"invalid: .* is not the one in the path",
        r"invalid: .* refers to nothing in your organization",
        r"invalid: .* is not your password so far",
        r"invalid: .* must not be before since",
        r"invalid: window: is too short: there would be more than 1000 windows",
        r"invalid: .*U\+0000",  # PostgreSQL keeps no such text; a schema of a free-form object cannot ban it
        r"invalid: .*_pattern: pattern must be a regular expression; .*",
        r"invalid: /source.*",  # YAML or JSON in a text
        r"invalid: .*/idempotency_key: is taken",  # by another line
        r"invalid: /is_active: cannot be false: nobody .*",  # only of the caller's own organization
        r"not_implemented",  # no issuer is set
    ])
)


def is_whole_float_at(pointer, value):
    for part in pointer.split("/")[1:]:
        if not isinstance(value, dict):
            return False
        value = value.get(part)
    return isinstance(value, float) and value.is_integer()


@schemathesis.hook
def filter_failure(context, failure, case, response):
    """Keeps a failure, unless it is a refusal of what only looks right."""
    if type(failure).__name__ != "RejectedPositiveData":
        return True
    problem = response.json()
    if any(is_whole_float_at(error["pointer"], case.body) for error in problem.get("errors", [])):
        return False  # 64.0 is an integer to JSON Schema, and not to serde
    told = problem["code"]
    if told == "invalid":
        told += ": " + problem["detail"].removesuffix("; nothing was written.")
    return not BEYOND_SCHEMAS.fullmatch(told)


@atexit.register
def tell_what_was_reached():
    with open(os.environ["REACHED"], "w") as file:
        json.dump(sorted(REACHED), file)
