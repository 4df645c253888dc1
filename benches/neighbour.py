"""One organization asks for as much as it is allowed, others for what they need: how long do those wait?

    neighbour.py BASE PROBES SECONDS CLIENTS TOKEN

Signs ten organizations up, and lets each ask for small things ten times a second, beside CLIENTS clients of TOKEN's
organization with the heaviest requests there are (none for a quiet run). Prints one JSON object. Loopback only.
"""

import asyncio
import json
import sys
import time
import urllib.parse

from client import Client

BASE, PROBES, SECONDS, CLIENTS, TOKEN = sys.argv[1], sys.argv[2], float(sys.argv[3]), int(sys.argv[4]), sys.argv[5]
assert urllib.parse.urlsplit(BASE).hostname == "127.0.0.1"


async def organization(number):
    client = Client(BASE)
    body = {"email": f"n{number}-{time.time_ns()}@b.example", "password": "correct horse", "username": "ada",
            "organization_name": f"Quiet {number}", "organization_slug": f"quiet-{time.time_ns()}", "team_name": "SRE"}
    status, answer = await client.ask("POST", "/api/v1/auth/signup", body)
    assert status == 201, (status, answer)
    return Client(BASE, json.loads(answer)["access_token"])


async def team_of(client):
    status, answer = await client.ask("GET", "/api/v1/auth/me")
    assert status == 200, answer
    return json.loads(answer)["team_id"]


async def ordinary(client, until, times, statuses):
    path = f"/api/v1/teams/{await team_of(client)}/incidents"
    number = 0
    while time.monotonic() < until:
        number += 1
        began = time.monotonic()
        if number % 3 == 0:
            status, _ = await client.ask("POST", path, {"title": "Disk almost full", "description": "lorem ipsum " * 30})
        else:
            status, _ = await client.ask("GET", path + "?limit=20")
        took = time.monotonic() - began
        times.append(took)
        statuses[status] = statuses.get(status, 0) + 1
        await asyncio.sleep(max(0.1 - took, 0))


async def heavy(client, path, number, until, statuses):
    values = json.dumps({"l": [1] * 49_000}).encode()
    lines = b"".join(json.dumps({"title": f"line {n}", "description": "lorem ipsum " * 30}).encode() + b"\n" for n in range(500))
    hostile = {"title": "x", "description": "@a1" * 20_000}
    kinds = [
        ("GET", path + "?limit=100", None), ("GET", path + "?limit=100&q=" + "a" * 199 + "b", None),
        ("POST", path, b'{"title": "x", "incident_metadata": ' + values + b"}"), ("POST", path, hostile),
        ("POST", path + "/bulk", lines), ("GET", "/api/v1/audit-log?limit=100", None),
    ]
    while time.monotonic() < until:
        method, url, body = kinds[number % len(kinds)]
        number += 1
        kind = "application/x-ndjson" if url.endswith("/bulk") else "application/json"
        status, _ = await client.ask(method, url, body, kind)
        statuses[status] = statuses.get(status, 0) + 1
        if status == 429:
            await asyncio.sleep(1)


async def probe(until, times):
    client = Client(PROBES)
    while time.monotonic() < until:
        for path in ("/livez", "/readyz"):
            began = time.monotonic()
            status, _ = await client.ask("GET", path)
            times.append(time.monotonic() - began if status == 200 else 9)
        await asyncio.sleep(0.2)


async def main():
    quiet = [await organization(number) for number in range(10)]
    noisy = Client(BASE, TOKEN)
    path = f"/api/v1/teams/{await team_of(noisy)}/incidents"
    until = time.monotonic() + SECONDS
    times, statuses, loud, probes = [], {}, {}, []
    await asyncio.gather(
        *(ordinary(client, until, times, statuses) for client in quiet),
        *(heavy(Client(BASE, TOKEN), path, number, until, loud) for number in range(CLIENTS)),
        probe(until, probes),
    )
    times.sort()
    print(json.dumps({
        "requests": len(times), "p50_ms": round(times[len(times) // 2] * 1000, 1),
        "p99_ms": round(times[len(times) * 99 // 100] * 1000, 1), "most_ms": round(times[-1] * 1000, 1),
        "statuses": statuses, "noisy": loud, "slowest_probe_ms": round(max(probes) * 1000, 1),
    }))


asyncio.run(main())
