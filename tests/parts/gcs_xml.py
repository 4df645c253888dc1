#!/usr/bin/env python3
"""Google's XML API for writing, in front of fake-gcs-server, which has it for reading only.

    gcs_xml.py PORT http://127.0.0.1:PORT_OF_FAKE_GCS_SERVER

PUT with x-goog-if-generation-match, multipart uploads, which are kept in memory until they end, and a
list of those that have not. Everything else is passed on. For tests: it checks no credentials.
"""
import datetime
import http.server
import json
import sys
import threading
import urllib.error
import urllib.parse
import urllib.request
import uuid

PORT, BEHIND = int(sys.argv[1]), sys.argv[2].rstrip("/")
LOCK = threading.Lock()
UPLOADS = {}  # id: (bucket, key, begun, {number: bytes})
HOP = ("content-length", "transfer-encoding", "connection", "date")


def ask(method, path, body=None, headers=None):
    request = urllib.request.Request(BEHIND + path, data=body, method=method, headers=headers or {})
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.status, dict(answer.headers), answer.read()
    except urllib.error.HTTPError as error:
        return error.code, dict(error.headers), error.read()


def quoted(text):
    return urllib.parse.quote(text, safe="")


def about(bucket, key):
    status, _, text = ask("GET", f"/storage/v1/b/{bucket}/o/{quoted(key)}")
    return json.loads(text) if status == 200 else None


def error(status, code):
    return status, {"Content-Type": "application/xml"}, f"<Error><Code>{code}</Code></Error>".encode()


def xml(name, *pairs):
    inside = "".join(f"<{tag}>{text}</{tag}>" for tag, text in pairs)
    return 200, {"Content-Type": "application/xml"}, f"<{name}>{inside}</{name}>".encode()


def store(bucket, key, body, headers):
    with LOCK:
        wanted = headers.get("x-goog-if-generation-match")
        if wanted is not None:
            there = about(bucket, key)
            if (there["generation"] if there else "0") != wanted:
                return error(412, "PreconditionFailed")
        path = f"/upload/storage/v1/b/{bucket}/o?uploadType=media&name={quoted(key)}"
        kind = headers.get("content-type") or "application/octet-stream"
        status, _, text = ask("POST", path, body, {"content-type": kind})
        if status != 200:
            return status, {}, text
        made = json.loads(text)
        tag = '"%s"' % made["etag"].strip('"')
        return 200, {"ETag": tag, "x-goog-generation": made["generation"]}, b""


def unfinished(bucket, prefix):
    with LOCK:
        listed = [
            f"<Upload><Key>{key}</Key><UploadId>{id}</UploadId><Initiated>{begun}</Initiated></Upload>"
            for id, (where, key, begun, _) in UPLOADS.items()
            if where == bucket and key.startswith(prefix)
        ]
    text = f"<ListMultipartUploadsResult><IsTruncated>false</IsTruncated>{''.join(listed)}</ListMultipartUploadsResult>"
    return 200, {"Content-Type": "application/xml"}, text.encode()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def body(self):
        if self.headers.get("transfer-encoding", "") != "chunked":
            return self.rfile.read(int(self.headers.get("content-length") or 0))
        whole = b""
        while size := int(self.rfile.readline().split(b";")[0], 16):
            whole += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return whole

    def answer(self, status, headers, body):
        self.send_response(status)
        for name, value in headers.items():
            if name.lower() not in HOP:
                self.send_header(name, value)
        of_object = headers.get("Content-Length", len(body))
        self.send_header("content-length", of_object if self.command == "HEAD" else len(body))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def multipart(self, bucket, key, query, body, headers):
        if self.command == "GET":
            return unfinished(bucket, query.get("prefix", [""])[0])
        if self.command == "POST" and "uploads" in query:
            id = uuid.uuid4().hex
            begun = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.000Z")
            with LOCK:
                UPLOADS[id] = (bucket, key, begun, {})
            return xml("InitiateMultipartUploadResult", ("Bucket", bucket), ("Key", key), ("UploadId", id))
        id = query["uploadId"][0]
        with LOCK:
            upload = UPLOADS.get(id)
        if upload is None:
            return error(404, "NoSuchUpload")
        if self.command == "PUT":
            number = int(query["partNumber"][0])
            upload[3][number] = body
            return 200, {"ETag": f'"{number}"'}, b""
        if self.command == "DELETE":
            with LOCK:
                UPLOADS.pop(id, None)
            return 204, {}, b""
        whole = b"".join(upload[3][number] for number in sorted(upload[3]))
        status, made, text = store(bucket, key, whole, headers)
        if status != 200:
            return status, made, text
        with LOCK:
            UPLOADS.pop(id, None)
        status, kind, text = xml("CompleteMultipartUploadResult", ("Bucket", bucket), ("Key", key), ("ETag", made["ETag"]))
        return status, {**made, **kind}, text

    def go(self):
        url = urllib.parse.urlsplit(self.path)
        bucket, _, key = urllib.parse.unquote(url.path).lstrip("/").partition("/")
        query = urllib.parse.parse_qs(url.query, keep_blank_values=True)
        body = self.body()
        headers = {name.lower(): value for name, value in self.headers.items()}
        if self.path.startswith(("/storage/", "/upload/", "/download/", "/_internal")):
            passed = {name: headers[name] for name in ("content-type", "range") if name in headers}
            return self.answer(*ask(self.command, self.path, body or None, passed))
        if "uploads" in query or "uploadId" in query:
            return self.answer(*self.multipart(bucket, key, query, body, headers))
        if self.command == "PUT":
            return self.answer(*store(bucket, key, body, headers))
        passed = {"range": headers["range"]} if "range" in headers else {}
        status, found, text = ask(self.command, self.path, None, passed)
        if status == 500 and ask("GET", f"/storage/v1/b/{bucket}")[0] == 404:
            return self.answer(*error(404, "NoSuchBucket"))
        if self.command == "DELETE" and status == 200:
            status, text = 204, b""
        if self.command in ("GET", "HEAD") and key and status in (200, 206):
            there = about(bucket, key)
            if there:
                found["x-goog-generation"] = there["generation"]
                found["ETag"] = '"%s"' % there["etag"].strip('"')
        return self.answer(status, found, text)

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = go


http.server.ThreadingHTTPServer(("127.0.0.1", PORT), Handler).serve_forever()
