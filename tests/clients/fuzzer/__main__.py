"""Ask every operation of the document, and a lot that it does not allow, and hold the answers against it.

    python3 -m venv V && V/bin/pip install schemathesis==4.32.5
    BASE_URL=http://127.0.0.1:8000 V/bin/python tests/clients/fuzzer [--long]

The server must be started with METADATA_RATE_LIMIT=0 METADATA_RATE_LIMIT_ADDRESS=0. Each run signs up an
organization of its own. What is excluded, and why: schemathesis.toml, and BEYOND_SCHEMAS in
hooks.py. Exits with 0 when every answer was as the document says.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

HERE = Path(__file__).resolve().parent
PROGRAM = Path(sys.executable).parent / "schemathesis"
BASE_URL = os.environ.get("BASE_URL", "http://127.0.0.1:8000").rstrip("/")
IS_LONG = "--long" in sys.argv[1:]

LOG_OUTS = r"/logout(-all)?$"
ENDINGS = r"(/logout|/logout-all|/password|/revoke-sessions|/users/\{user_id\})$"
ALL_BUT_STATEFUL = "examples,coverage,fuzzing"
# Caller, phases, examples an operation (with --long), and what else there is to say. The two kinds of
# credential take the same way from the middleware on, so the short form asks less by the second one.
RUNS = [
    ("admin", ALL_BUT_STATEFUL, 2, 40, ["--exclude-path-regex", LOG_OUTS]),
    ("admin", "stateful", 15, 400, ["--exclude-path-regex", LOG_OUTS]),
    ("leaver", ALL_BUT_STATEFUL, 2, 40, ["--include-path-regex", ENDINGS]),
    ("key", ALL_BUT_STATEFUL if IS_LONG else "examples,fuzzing", 1, 20,
     ["--generation-with-security-parameters", "false"]),
    ("nobody", ALL_BUT_STATEFUL if IS_LONG else "examples,fuzzing", 1, 20, []),
]
# Nothing logs in by OpenID Connect where no issuer is set.
NEVER_REACHED = {
    "GET /api/v1/auth/oidc/callback", "GET /api/v1/auth/oidc/login", "POST /api/v1/auth/oidc/link",
    "GET /api/v1/okta/callback", "GET /api/v1/okta/login",
    "GET /api/v1/auth/okta/callback", "GET /api/v1/auth/okta/login",
}


# Its callers are tenants': none of them operates the installation.
FOR_OPERATORS = ("/api/v1/operations", "/backup/")


def run(number, document, folder):
    caller, phases, short, long, rest = RUNS[number]
    there = folder / f"{number}-{caller}"
    there.mkdir()
    reached = there / "reached.json"
    env = os.environ | {"BASE_URL": BASE_URL, "CALLER": caller, "REACHED": str(reached), "PYTHONWARNINGS": "ignore",
                        "SCHEMATHESIS_HOOKS": str(HERE / "hooks.py")}
    command = [PROGRAM, "--config-file", HERE / "schemathesis.toml", "run", document, "--url", BASE_URL, "--no-color",
               "--phases", phases, "--max-examples", str(long if IS_LONG else short), *rest]
    since = time.monotonic()
    done = subprocess.run(command, cwd=there, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    seconds = time.monotonic() - since
    is_good = done.returncode == 0 and reached.exists()
    print(f"{'ok' if is_good else 'FAILED'}: {caller}, {phases}, {seconds:.0f} s")
    if not is_good:
        print(done.stdout)
    return is_good, set(json.loads(reached.read_text())) if reached.exists() else set()


def operations(document):
    return {f"{method.upper()} {path}" for path, item in document["paths"].items() for method in item}


def main():
    with tempfile.TemporaryDirectory() as folder, urllib.request.urlopen(BASE_URL + "/openapi.json") as answer:
        document = Path(folder) / "openapi.json"
        document.write_bytes(answer.read())
        everything = operations(json.loads(document.read_text()))
        with ThreadPoolExecutor(2) as pool:
            runs = list(pool.map(lambda number: run(number, document, Path(folder)), range(len(RUNS))))
    are_good = all(is_good for is_good, _ in runs)
    by_callers = set().union(*(reached for (caller, *_), (_, reached) in zip(RUNS, runs) if caller != "nobody"))
    operators = {label for label in everything if label.split()[1].startswith(FOR_OPERATORS)}
    missed = everything - by_callers - NEVER_REACHED - operators
    print(f"{len(by_callers)} of {len(everything)} operations were answered with success at least once")
    if missed:
        print("FAILED: none of these requests was successful: " + ", ".join(sorted(missed)))
    sys.exit(0 if are_good and not missed else 1)


if __name__ == "__main__":
    main()
