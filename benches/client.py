"""A client that keeps its connection, for what the benches ask. Loopback only."""

import asyncio
import json
import urllib.parse


class Client:
    """A connection that is kept, and opened again when it is closed."""

    def __init__(self, base, token=None):
        assert urllib.parse.urlsplit(base).hostname == "127.0.0.1"
        self.host, self.port = base.removeprefix("http://").split(":")
        self.token, self.streams = token, None

    async def ask(self, method, path, body=None, kind="application/json"):
        if self.streams is None:
            self.streams = await asyncio.open_connection(self.host, int(self.port))
        reader, writer = self.streams
        data = body if isinstance(body, bytes) else json.dumps(body).encode() if body is not None else b""
        head = f"{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(data)}\r\nContent-Type: {kind}\r\n"
        if self.token:
            head += f"Authorization: Bearer {self.token}\r\n"
        writer.write(head.encode() + b"\r\n" + data)
        try:
            await writer.drain()
            lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin1").split("\r\n")
            headers = dict(line.lower().split(": ", 1) for line in lines[1:] if ": " in line)
            answer = await reader.readexactly(int(headers.get("content-length", 0)))
        except (asyncio.IncompleteReadError, ConnectionError):
            self.streams = None
            return 0, b""
        if headers.get("connection") == "close":
            writer.close()
            self.streams = None
        return int(lines[0].split()[1]), answer
