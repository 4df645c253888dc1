"""What does each of these cost the server in memory, at the most and a minute later?

    memory.py BASE PID TOKEN SECONDS

Slow readers by the thousand, log-ins and sign-ups at once, lists of the costliest documents, the largest bulk, and
resolve over a thousand configurations. SECONDS is how long the readers stay. Prints a line for each. Loopback only.
"""

import asyncio
import collections
import json
import resource
import socket
import sys
import time

from client import Client

BASE, PID, TOKEN, SECONDS = sys.argv[1], sys.argv[2], sys.argv[3], float(sys.argv[4])
resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
COSTLY = json.dumps({"l": [1] * 49_000})


def memory(line):
    with open(f"/proc/{PID}/status") as status:
        return next(int(text.split()[1]) // 1024 for text in status if text.startswith(line))


async def measured(name, work):
    with open(f"/proc/{PID}/clear_refs", "w") as peak:
        peak.write("5")
    began = time.monotonic()
    statuses = collections.Counter(await work)
    took = time.monotonic() - began
    print(f"{name}: most {memory('VmHWM')} MiB, {took:.1f} s, {dict(statuses)}", flush=True)


async def at_once(clients, each, ask):
    async def one(number):
        client = Client(BASE, TOKEN)
        return [(await ask(client, number * each + turn))[0] for turn in range(each)]
    return [status for some in await asyncio.gather(*(one(number) for number in range(clients))) for status in some]


async def slow_readers(path, count):
    """Each asks for a page of 1 MiB, takes 4 KiB of it, and no more."""
    async def one():
        raw = socket.socket()
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        raw.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(raw, ("127.0.0.1", int(BASE.rsplit(":", 1)[1])))
        request = f"GET {path}?limit=100 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\n\r\n"
        await loop.sock_sendall(raw, request.encode())
        try:
            head = await asyncio.wait_for(loop.sock_recv(raw, 4096), 30)
        except (TimeoutError, ConnectionError):
            head = b"0 0 0"
        await asyncio.sleep(SECONDS)
        raw.close()
        return int((head.split() + [b"0", b"0"])[1])
    return await asyncio.gather(*(one() for _ in range(count)))


async def main():
    owner = Client(BASE, TOKEN)
    me = json.loads((await owner.ask("GET", "/api/v1/auth/me"))[1])
    path = f"/api/v1/teams/{me['team_id']}/incidents"
    body = b'{"title": "costly", "incident_metadata": ' + COSTLY.encode() + b"}"
    for _ in range(24):
        assert (await owner.ask("POST", path, body))[0] == 201
    for number in range(1000):
        source = json.dumps({"limits": {f"a{n}": number for n in range(200)}})
        config = {"name": f"c{number}", "priority": number % 7, "config_type": "organization", "status": "active",
                  "source": source, "source_format": "json"}
        status, answer = await owner.ask("POST", "/api/v1/configs", config)
        assert status == 201, answer
    print(f"before: {memory('VmRSS')} MiB", flush=True)
    right = {"email": "a@b.example", "password": "correct horse"}
    lines = b"".join(json.dumps({"title": f"line {n}", "description": "lorem ipsum " * 30}).encode() + b"\n" for n in range(1000))
    lines = lines * 16
    await measured("1,000 slow readers", slow_readers(path, 1000))
    await measured("64 log-ins", at_once(64, 1, lambda client, _: Client(BASE).ask("POST", "/api/v1/auth/login", right)))
    await measured("480 sign-ups by 48", at_once(48, 10, lambda client, n: Client(BASE).ask("POST", "/api/v1/auth/signup", {
        "email": f"u{n}@s.example", "password": "correct horse", "username": "ada", "organization_name": f"S{n}",
        "organization_slug": f"s-{n}", "team_name": "T"})))
    await measured("lists of the costliest by 16", at_once(16, 10, lambda client, _: client.ask("GET", path + "?limit=100")))
    await measured("bulk by 8", at_once(8, 2, lambda client, _: client.ask("POST", path + "/bulk", lines[:8_000_000], "application/x-ndjson")))
    await measured("resolve over 1,000 by 16", at_once(16, 10, lambda client, n: client.ask("GET", f"/api/v1/configs/resolve?name=a{n}")))
    await asyncio.sleep(60)
    print(f"a minute later: {memory('VmRSS')} MiB", flush=True)


asyncio.run(main())
