#!/usr/bin/env python3
"""Opens the documentation pages in a headless Chromium that can reach nothing but the service.

    pages.py BASE_URL OUT_DIR        e.g. pages.py http://127.0.0.1:8000 /tmp/pages

Needs Debian's `chromium-headless-shell`, which unlike `chromium` asks nobody on its own, and Python 3.10.
Signs up an organization of its own. Fails if a page is incomplete or does not work, if anything asks
another origin, and if the console has an error, violations of the Content-Security-Policy included.
Leaves a screenshot of each page in OUT_DIR.
"""

import base64
import json
import os
import pathlib
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request


class Browser:
    """A Chromium spoken to over a pipe; it ends when the pipe does, however this program ends."""

    def __init__(self, origin):
        self.origin, self.page, self.session = origin, "before any page", None
        self.requests, self.responses, self.noise = [], [], []
        self.answers, self.last, self.buffer = {}, 0, b""
        self.elsewhere = socket.create_server(("127.0.0.1", 0))
        self.profile = tempfile.TemporaryDirectory(prefix="pages-", ignore_cleanup_errors=True)
        theirs_in, self.to = os.pipe()
        self.of, theirs_out = os.pipe()

        def pipes_are_3_and_4():
            for pipe, number in ((os.dup(theirs_in), 3), (os.dup(theirs_out), 4)):
                os.dup2(pipe, number)

        host = urllib.parse.urlsplit(origin)
        self.process = subprocess.Popen(
            ["chromium-headless-shell", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
             "--window-size=1280,900", f"--user-data-dir={self.profile.name}", "--remote-debugging-pipe",
             f"--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE {host.hostname}, EXCLUDE 127.0.0.1",
             f"--proxy-server=http://127.0.0.1:{self.elsewhere.getsockname()[1]}",
             f"--proxy-bypass-list=<-loopback>;{host.netloc}"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            close_fds=False, preexec_fn=pipes_are_3_and_4, start_new_session=True)
        os.close(theirs_in)
        os.close(theirs_out)
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        self.watch(self.session)

    def close(self):
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.profile.cleanup()

    def send(self, method, session, **parameters):
        self.last += 1
        message = {"id": self.last, "method": method, "params": parameters}
        message.update({"sessionId": session} if session else {})
        os.write(self.to, json.dumps(message).encode() + b"\0")
        return self.last

    def call(self, method, **parameters):
        number = self.send(method, self.session, **parameters)
        while number not in self.answers:
            self.hear(10)
        answer = self.answers.pop(number)
        assert "error" not in answer, f"{method}: {answer['error']}"
        return answer["result"]

    def hear(self, seconds):
        """What the browser says, or asks of its proxy, waiting for at most so long."""
        ready = select.select([self.of, self.elsewhere], [], [], seconds)[0]
        if self.elsewhere in ready:
            connection, _ = self.elsewhere.accept()
            asked = select.select([connection], [], [], 1)[0] and connection.recv(2000)
            self.noise.append(f"{self.page}: the browser wanted out: {asked}")
            connection.close()
        if self.of not in ready:
            return
        read = os.read(self.of, 1 << 20)
        assert read, "Chromium ended"
        *messages, self.buffer = (self.buffer + read).split(b"\0")
        for message in map(json.loads, messages):
            if "id" in message:
                self.answers[message["id"]] = message
            else:
                self.note(message["method"], message["params"])

    def watch(self, session):
        for domain in ("Network", "Runtime", "Log"):
            self.send(f"{domain}.enable", session)
        self.send("Target.setAutoAttach", session, autoAttach=True, waitForDebuggerOnStart=True, flatten=True)
        self.send("Runtime.runIfWaitingForDebugger", session)

    def note(self, event, said):
        error = None
        if event == "Target.attachedToTarget" and self.session:
            self.watch(said["sessionId"])
        elif event == "Network.requestWillBeSent":
            self.requests.append(said["request"])
            url = said["request"]["url"]
            if not url.startswith((self.origin + "/", f"blob:{self.origin}/", "data:")):
                error = f"a request to {url}"
        elif event == "Network.responseReceived":
            self.responses.append(said["response"])
        elif event == "Runtime.exceptionThrown":
            error = json.dumps(said["exceptionDetails"])
        elif event == "Runtime.consoleAPICalled" and said["type"] in ("error", "assert"):
            error = json.dumps(said["args"])
        elif event == "Log.entryAdded" and said["entry"]["level"] == "error":
            error = f"{said['entry']['text']} {said['entry'].get('url', '')}"
        if error:
            self.noise.append(f"{self.page}: {error[:600]}")

    def ask(self, expression):
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, f"{expression}: {answer['exceptionDetails']}"
        return answer["result"].get("value")

    def wait(self, what, expression):
        """Until the expression is true; what it then is."""
        until = time.monotonic() + 20
        while not (value := self.ask(expression)):
            assert time.monotonic() < until, f"after 20 s still not: {what} ({expression})"
            self.hear(0.05)
        return value

    def open(self, path):
        """Answers what the page was served with, once it is loaded."""
        self.settle()
        self.page, self.responses = path, []
        url = urllib.parse.urljoin(self.origin, path)
        self.call("Page.navigate", url=url)
        self.wait(f"{path} is loaded", f"location.href === {json.dumps(url)} && document.readyState === 'complete'")
        return next(response for response in self.responses if response["url"] == url)

    def click(self, selector):
        """With the mouse, so that what is covered by something else is not clicked."""
        element = f"document.querySelector({json.dumps(selector)})"
        self.wait(f"{selector} is there", f"!!{element}")
        x, y, hit = self.ask(
            f"""(async () => {{ const e = {element}; e.scrollIntoView({{block: 'center', behavior: 'instant'}});
            await new Promise(done => setTimeout(done, 100));
            const r = e.getBoundingClientRect(), x = r.x + r.width / 2, y = r.y + r.height / 2;
            return [x, y, e.contains(document.elementFromPoint(x, y))]; }})()""")
        assert hit, f"{selector} is covered, or not to be seen"
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def type(self, selector, text):
        """In place of what the field holds."""
        self.click(selector)
        self.ask(f"document.querySelector({json.dumps(selector)}).select()")
        self.call("Input.insertText", text=text)

    def screenshot(self, file):
        self.settle()
        shot = self.call("Page.captureScreenshot", format="png")["data"]
        pathlib.Path(file).write_bytes(base64.b64decode(shot))

    def listed(self, what, expected, expression):
        """Waits until the page lists what is expected, each once."""
        until = time.monotonic() + 20
        while sorted(found := self.ask(expression)) != sorted(expected):
            assert time.monotonic() < until, (
                f"{what}: expected {len(expected)}, found {len(found)}; missing: "
                f"{set(expected) - set(found)}; not expected: {set(found) - set(expected)}")
            self.hear(0.05)

    def settle(self):
        self.ask("new Promise(done => setTimeout(done, 500))")


def http(status, url, body=None, **headers):
    """What is answered, which must be with this status."""
    headers["Content-Type"] = "application/json"
    request = urllib.request.Request(url, headers=headers, data=body and json.dumps(body).encode())
    try:
        answer = urllib.request.urlopen(request, timeout=10)
    except urllib.error.HTTPError as error:
        answer = error
    text = answer.read()
    assert answer.status == status, f"{url}: expected {status}, was {answer.status} {text}"
    return json.loads(text)


def docs_shows_every_operation(browser, operations, out):
    browser.open("/docs")
    browser.wait("Swagger UI has rendered", "document.querySelectorAll('.opblock-tag').length > 0")
    while browser.ask("!!document.querySelector('.opblock-tag[data-is-open=false]')"):
        browser.click(".opblock-tag[data-is-open=false]")
    browser.listed(
        "/docs", [f"{method.upper()} {path} {operation['summary']}" for method, path, operation in operations],
        """Array.from(document.querySelectorAll('.opblock-summary'), e => [
        e.querySelector('.opblock-summary-method').innerText, e.querySelector('[data-path]').dataset.path,
        e.querySelector('.opblock-summary-description').innerText].join(' '))""")
    browser.ask("scrollTo(0, 0)")
    browser.screenshot(f"{out}/docs.png")


def execute(browser, operation, method, url, status):
    """Presses Execute; the answer the page shows."""
    browser.click(f"#operations-{operation} .execute")
    shown = f"document.querySelector('#operations-{operation} .live-responses-table .response')"
    text = browser.wait(f"{operation} is answered", f"{shown}?.innerText")
    assert text.split()[0] == str(status), f"{operation}: expected {status}, the page shows {text}"
    sent = [request for request in browser.requests if (request["method"], request["url"]) == (method, url)]
    assert len(sent) == 1 and "Authorization" in sent[0]["headers"], f"expected one with a token, sent was {sent}"
    return text


def docs_tries_out(browser, base, out):
    name = f"pages-{time.time_ns()}"
    account = {"email": f"{name}@example.com", "password": "correct horse battery", "username": name,
               "organization_name": name, "team_name": "SRE"}
    token = http(201, f"{base}/api/v1/auth/signup", account)["access_token"]
    me = http(200, f"{base}/api/v1/auth/me", Authorization=f"Bearer {token}")
    browser.click(".auth-wrapper .authorize")
    browser.type(".modal-ux input", token)
    browser.click(".modal-ux .auth-btn-wrapper .authorize")
    browser.wait("the dialog says Authorized", "document.querySelector('.modal-ux h6')?.innerText === 'Authorized'")
    browser.click(".modal-ux .btn-done")

    browser.click("#operations-auth-auth_me .opblock-summary-control")
    shown = execute(browser, "auth-auth_me", "GET", f"{base}/api/v1/auth/me", 200)
    assert account["email"] in shown, f"expected {account['email']} in the answer shown: {shown}"
    browser.ask("document.querySelector('#operations-auth-auth_me').scrollIntoView({behavior: 'instant'})")
    browser.screenshot(f"{out}/docs-try-it-out.png")

    block, path = "#operations-teams-teams_create", f"/api/v1/organizations/{me['org_id']}/teams"
    browser.click(f"{block} .opblock-summary-control")
    browser.type(f"{block} [data-param-name=org_id] input", me["org_id"])
    example = json.loads(browser.ask(f"document.querySelector('{block} textarea.body-param__text').value"))
    shown = execute(browser, "teams-teams_create", "POST", base + path, 201)
    assert f'"{example["slug"]}"' in shown, f"expected the team {example['slug']} in the answer shown: {shown}"


def redoc_shows_every_operation(browser, operations, out):
    browser.open("/redoc")
    browser.listed(
        "/redoc", [f"{operation['operationId']} {operation['summary']}" for _, _, operation in operations],
        """Array.from(document.querySelectorAll('.api-content [id*="/operation/"]'), e =>
        e.id.split('/operation/')[1] + ' ' + e.querySelector('h2')?.innerText.trim())""")
    browser.screenshot(f"{out}/redoc.png")


def redoc_searches(browser):
    """In an index that a worker makes."""
    browser.type(".search-input", "log in with a password")
    browser.wait("the log-in is found", """document.querySelector('[data-role="search:results"]')
        ?.innerText.includes('Log in with a password')""")


def a_problem_leads_to_its_page(browser, base, out):
    problem = http(401, f"{base}/api/v1/auth/me")
    served = browser.open(problem["type"])
    assert (served["status"], served["mimeType"]) == (200, "text/html"), f"{problem['type']}: {served}"
    text = browser.ask("document.body.innerText")
    assert problem["title"] in text and problem["code"] in text, f"{problem['type']}: not explained by {text}"
    browser.screenshot(f"{out}/problem.png")


def main(base, out):
    os.makedirs(out, exist_ok=True)
    document = http(200, f"{base}/openapi.json")
    operations = [(method, path, operation) for path, item in document["paths"].items()
                  for method, operation in item.items() if "responses" in operation]
    browser = Browser(base)
    try:
        docs_shows_every_operation(browser, operations, out)
        docs_tries_out(browser, base, out)
        redoc_shows_every_operation(browser, operations, out)
        redoc_searches(browser)
        a_problem_leads_to_its_page(browser, base, out)
        browser.settle()
    finally:
        browser.close()
        sys.stderr.writelines(f"{heard}\n" for heard in browser.noise)
    assert not browser.noise, "expected no request to elsewhere and no error in the console, found the above"
    print(f"/docs and /redoc show {len(operations)} operations and work, on their own; screenshots in {out}")


def stop(*_):
    raise TimeoutError("not done within 55 s, or told to stop")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    signal.signal(signal.SIGALRM, stop)
    signal.signal(signal.SIGTERM, stop)
    signal.alarm(55)
    main(sys.argv[1].rstrip("/"), sys.argv[2])
