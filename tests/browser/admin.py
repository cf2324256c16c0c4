#!/usr/bin/env python3
"""The live page in a real browser: admin.py PROGRAM [SCREENSHOT.png]

Chromium runs without a window, and is controlled by its own protocol (--remote-debugging-pipe);
only Python's standard library is needed. The page must show what happens, end a stream when told
to, send requests only to the proxy, and print nothing to its console. For each kind of trouble
(situations.py) its first line must say which api and which target has it, at widths of 1280 and 390
pixels; with SCREENSHOT.png, each is saved as SCREENSHOT-NAME-WIDTH.png. Exit status: 0; 1 if
something is wrong; 77 if there is no Chromium.
"""

import base64
import json
import os
import select
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from urllib.parse import urlparse

from situations import SITUATIONS

PATIENCE = 20  # the timeout of every wait, in seconds
NAMES = ["chromium", "chromium-browser", "google-chrome", "chrome"]


class Browser:
    """A Chromium with one open page. Messages are JSON, each terminated by a zero byte."""

    def __init__(self, path, folder):
        to_browser, self.ours = os.pipe()
        self.theirs, from_browser = os.pipe()

        def as_three_and_four():
            # Either may be the other's target, so both are moved to unused numbers first.
            high = [os.dup2(fd, 60 + n) for n, fd in enumerate([to_browser, from_browser])]
            for fd, name in zip(high, [3, 4]):
                os.dup2(fd, name)
                os.close(fd)

        flags = ["--headless=new", "--remote-debugging-pipe", "--no-first-run", "--disable-gpu",
                 "--disable-background-networking", "--disable-dev-shm-usage", "--no-proxy-server",
                 "--window-size=1400,1000", f"--user-data-dir={folder}"]
        if os.geteuid() == 0:
            flags.append("--no-sandbox")
        self.process = subprocess.Popen(
            [path, *flags, "about:blank"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, close_fds=False, preexec_fn=as_three_and_four)
        os.close(to_browser)
        os.close(from_browser)
        self.last, self.rest, self.events, self.session = 0, b"", [], None
        target = self.ask("Target.createTarget", url="about:blank")["targetId"]
        attached = self.ask("Target.attachToTarget", targetId=target, flatten=True)
        self.session = attached["sessionId"]
        for domain in ["Page", "Runtime", "Log", "Network"]:
            self.ask(f"{domain}.enable")

    def read(self, until):
        """The next message."""
        while b"\0" not in self.rest:
            if not select.select([self.theirs], [], [], max(0, until - time.monotonic()))[0]:
                raise TimeoutError("the browser does not answer")
            more = os.read(self.theirs, 1 << 16)
            if not more:
                raise EOFError("the browser is gone")
            self.rest += more
        message, self.rest = self.rest.split(b"\0", 1)
        return json.loads(message)

    def ask(self, method, **params):
        """Sends a command and returns its result. Events that arrive meanwhile are kept."""
        self.last += 1
        message = {"id": self.last, "method": method, "params": params}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.ours, json.dumps(message).encode() + b"\0")
        until = time.monotonic() + PATIENCE + 5
        while True:
            answer = self.read(until)
            if answer.get("id") == self.last:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']}")
                return answer["result"]
            if "method" in answer:
                self.events.append((answer["method"], answer["params"]))

    def value(self, expression):
        """The value of an expression on the page."""
        result = self.ask("Runtime.evaluate", expression=expression, awaitPromise=True,
                          returnByValue=True)
        if "exceptionDetails" in result:
            raise AssertionError(f"{expression}: {result['exceptionDetails']}")
        return result["result"].get("value")

    def wait(self, condition):
        """Waits until a condition is true on the page."""
        script = """new Promise((done) => {
            const end = Date.now() + %d, look = () => (%s) ? done(true)
                : Date.now() > end ? done(false) : setTimeout(look, 50);
            look();
        })""" % (PATIENCE * 1000, condition)
        assert self.value(script), f"this does not come true: {condition}"

    def resize(self, width):
        self.ask("Emulation.setDeviceMetricsOverride", width=width, height=900,
                 deviceScaleFactor=1, mobile=width < 500)

    def shoot(self, path):
        data = self.ask("Page.captureScreenshot", captureBeyondViewport=True)["data"]
        with open(path, "wb") as file:
            file.write(base64.b64decode(data))

    def visit(self, url):
        """Opens another page, and forgets what the one before has done."""
        self.ask("Page.navigate", url="about:blank")
        self.events.clear()
        self.ask("Page.navigate", url=url)

    def happened(self, method):
        return [params for name, params in self.events if name == method]

    def close(self):
        self.process.kill()
        self.process.wait()


class Program:
    """A running millstream, with the lines that it printed at its start."""

    def __init__(self, program, folder, name, config):
        path = os.path.join(folder, name)
        with open(path, "w") as file:
            file.write(config)
        self.process = subprocess.Popen([program, path], stdout=subprocess.PIPE, text=True)

    def says(self, beginning):
        for line in self.process.stdout:
            if line.startswith(beginning):
                return line[len(beginning):].strip()
        raise EOFError(f"it does not say {beginning}")

    def close(self):
        self.process.kill()
        self.process.wait()


def follow(address):
    """Opens an event stream."""
    host, port = address.rsplit(":", 1)
    client = socket.create_connection((host, int(port)), PATIENCE)
    client.sendall(b"GET /sse/events/?n=%26 HTTP/1.1\r\nHost: a.example\r\n"
                   b"Accept: text/event-stream\r\n\r\n")
    assert client.recv(4096).startswith(b"HTTP/1.1 200 "), "no stream"
    return client


def echo():
    """Starts a server that switches protocols and echoes. Returns its address."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve():
        conn = listener.accept()[0]
        assert b"Upgrade: websocket\r\n" in conn.recv(4096)
        conn.sendall(b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\n"
                     b"Upgrade: websocket\r\n\r\n")
        while more := conn.recv(4096):
            conn.sendall(more)
        conn.close()

    threading.Thread(target=serve, daemon=True).start()
    return "http://%s:%d" % listener.getsockname()


def tunnel(address):
    """Opens a tunnel, and sends three bytes through it and back."""
    host, port = address.rsplit(":", 1)
    client = socket.create_connection((host, int(port)), PATIENCE)
    client.sendall(b"GET /echo HTTP/1.1\r\nHost: a.example\r\nConnection: upgrade\r\n"
                   b"Upgrade: websocket\r\n\r\n")
    assert client.recv(4096).startswith(b"HTTP/1.1 101 "), "no tunnel"
    client.sendall(b"abc")
    assert client.recv(4096) == b"abc"
    return client


def rest_of(client):
    """Reads until the stream has ended properly."""
    got = b""
    while not got.endswith(b"0\r\n\r\n"):
        more = client.recv(4096)
        assert more, "the stream was cut"
        got += more


def judge(browser, url, client, tunnel, screenshot):
    browser.ask("Page.navigate", url=url)
    browser.wait("document.readyState === 'complete' && document.querySelector('#link')")
    browser.wait("document.querySelectorAll('#streams tbody tr').length === 4")
    text = "document.querySelector('%s').textContent"
    browser.wait(text % "#headline" + " === '3 streams and 1 tunnel open, none in trouble.'")
    # Numbers that appear only with a running stream.
    browser.wait("/^[1-9]/.test(document.querySelector('#plots output').textContent)")
    browser.wait("[...document.querySelectorAll('#plots output')].filter((o) => "
                 "/^[0-9.]*[1-9]/.test(o.textContent)).length >= 3")
    browser.wait(text % "#link" + " === 'live'")
    browser.wait("/clock.*3/.test(" + text % "#apis tbody" + ")")
    browser.wait(text % "#streams tbody" + ".includes('/sse/events/?n=%26')")
    # There is one worker, and no stream is shared.
    assert browser.value("document.querySelector('#several').hidden")
    assert browser.value("document.querySelector('#sharing').hidden")
    if screenshot:
        browser.value("new Promise((done) => setTimeout(done, 8000))")
        browser.shoot(screenshot)

    judge_pause(browser)
    judge_lists(browser, text)
    rows = "[...document.querySelectorAll('#streams tbody tr')]"
    # A tunnel has no events, but bytes each way; it is closed.
    row = f"{rows}.find((r) => r.cells[0].textContent === 'tunnel')"
    cells = browser.value(f"[...({row}).cells].map((c) => c.textContent)")
    assert cells[5] == "/echo" and cells[7:10] == ["-", "3 B", "3 B"], cells
    browser.value(f"({row}).querySelector('button').click()")
    browser.wait(text % "#how" + ".includes('closed at once')")
    browser.value("document.querySelector('#end').click()")
    try:
        assert tunnel.recv(4096) == b"", "the tunnel goes on"
    except ConnectionResetError:
        pass
    browser.wait("document.querySelectorAll('#streams tbody tr').length === 3")

    # The first client has the oldest stream; the page shows others first.
    browser.value("document.querySelector('#order').value = 'oldest';"
                  "document.querySelector('#order').dispatchEvent(new Event('change'))")
    oldest = browser.value("fetch('streams?limit=1').then((a) => a.json())")["streams"][0]["id"]
    row = f"{rows}.find((r) => r.cells[2].textContent === '{oldest}')"
    browser.wait(f"!!({row})")
    browser.value(f"({row}).querySelector('button').click()")
    browser.wait("document.querySelector('#sure').open")
    browser.value("document.querySelector('#end').click()")
    rest_of(client)
    browser.wait("document.querySelectorAll('#streams tbody tr').length === 2")
    browser.wait(text % "#note" + f" === 'Stream {oldest}: It ends between two events.'")
    browser.wait(text % "#legend" + ".includes('ended')")

    sent = [event["request"] for event in browser.happened("Network.requestWillBeSent")]
    deletes = [request for request in sent if request["method"] == "DELETE"]
    assert [request["url"] for request in deletes][1:] == [f"{url}streams/{oldest}"], deletes
    assert all(request["headers"].get("X-Millstream") == "1" for request in deletes), deletes
    assert_alone(browser, url)


def judge_pause(browser):
    """Pointing at a plot of a paused page moves the mark, and shows no later numbers."""
    point = """
        document.querySelector("#plots svg").dispatchEvent(new PointerEvent("%s",
          { bubbles: true, clientX: 200 }))
    """
    line = "document.querySelector('#plots .line').getAttribute('d')"
    events = "ticks.at(-1).t"
    browser.value("document.querySelector('#pause').click()")
    before = browser.value(line)
    then = browser.value(events)
    browser.wait(f"{events} > {then} + 1500")
    browser.value(point % "pointermove")
    assert browser.value("document.querySelector('#plots .cross').getAttribute('d')")
    assert browser.value(line) == before
    browser.value("document.querySelector('#plots').dispatchEvent(new Event('pointerleave'))")
    assert browser.value(line) == before
    browser.value("document.querySelector('#pause').click()")
    browser.wait(f"{line} !== {before!r}")


def judge_lists(browser, text):
    """What the page says of a list that it cannot get, and of one that is too long to search."""
    browser.value("window.realFetch = fetch;"
                  "window.fetch = () => Promise.reject(new Error('out of reach')); 0")
    browser.wait(text % "#note" + " === 'Cannot list streams: out of reach.'")
    browser.value("window.fetch = realFetch; 0")
    browser.wait(text % "#note" + " === ''")
    browser.value("""
        window.filterBy = (text) => {
          document.querySelector("#filter").value = text;
          document.querySelector("#filter").dispatchEvent(new Event("input"));
        };
        window.fetch = async () => {
          const s = { id: "1", kind: "answer", api: "a", client: "c", key: null, target: "/" };
          const page = { total: 20000, streams: Array(500).fill(s), next: "1", shared: [] };
          return new Response(JSON.stringify(page));
        };
        filterBy("nothing");
    """)
    browser.wait(text % "#range" + " === '0 match among the first 10,000 of 20,000'")
    browser.value("window.fetch = realFetch; filterBy('echo');")
    browser.wait(text % "#range" + " === '1 match'")
    browser.value("filterBy('');")
    browser.wait("document.querySelectorAll('#streams tbody tr').length === 4")


def judge_workers(browser, url):
    """Opens the page of a proxy with two workers, whose three clients share a stream."""
    browser.visit(url)
    browser.wait("document.readyState === 'complete' && document.querySelector('#headline')")
    browser.wait("document.querySelector('#headline').textContent === "
                 "'3 streams open, none in trouble.'")
    cells = "[...document.querySelectorAll('%s tbody tr')].map((row) => row.cells[%d].textContent)"
    browser.wait(cells % ("#workers", 0) + ".join() === '1,2'")
    browser.wait(cells % ("#workers", 1) + ".reduce((all, n) => all + Number(n), 0) === 3")
    browser.wait(cells % ("#workers", 4) + ".every((busy) => /^[0-9]+%$/.test(busy))")
    browser.wait(cells % ("#workers", 5) + ".join() === 'turns,turns'")
    # They share one stream, which is shown above the list, however long that is.
    browser.wait(cells % ("#shared", 4) + ".join() === '3'")
    above = "document.querySelector('#shared').getBoundingClientRect().bottom"
    assert browser.value(f"{above} < document.querySelector('#list').getBoundingClientRect().top")
    for width in [1280, 390]:
        browser.resize(width)
        browser.wait("document.documentElement.scrollWidth <= innerWidth")
    browser.ask("Emulation.clearDeviceMetricsOverride")
    assert_alone(browser, url)


def assert_alone(browser, url):
    """The page has sent requests only to the proxy, and there were no errors."""
    sent = [event["request"] for event in browser.happened("Network.requestWillBeSent")]
    ours = ("", urlparse(url).netloc)
    foreign = [request["url"] for request in sent if urlparse(request["url"]).netloc not in ours]
    assert not foreign, f"the page asks others: {foreign}"
    for kind in ["Runtime.exceptionThrown", "Runtime.consoleAPICalled", "Log.entryAdded"]:
        assert not browser.happened(kind), f"{kind}: {browser.happened(kind)}"


def diagnose(browser, situation, url, screenshot):
    """Opens the page during trouble: it must say what is wrong, and where."""
    browser.visit(url)
    browser.wait("document.readyState === 'complete' && document.querySelector('#headline')")
    rows = "[...document.querySelectorAll('#apis tbody tr')]"
    row = f"{rows}.find((row) => row.cells[0].textContent === 'prices')"
    for width in [1280, 390]:
        browser.resize(width)
        for pattern, where in [(situation.verdict, "document.querySelector('#headline')"),
                               (situation.detail, "document.querySelector('#detail')"),
                               (situation.target, f"({row})?.cells[10]")]:
            try:
                browser.wait(f"new RegExp({json.dumps(pattern)}).test({where}?.textContent)")
            except AssertionError:
                raise AssertionError(f"{situation.name}: {browser.value(f'{where}?.textContent')}"
                                     f" is not like {pattern}") from None
        level = f"dataset.level === '{situation.level}'"
        browser.wait(f"document.querySelector('#verdict').{level}")
        browser.wait("document.title.startsWith('prices') || document.title.includes('stuck')")
        browser.wait(f"({row}).{level}")
        browser.wait("document.querySelector('#idle').textContent === '2 idle apis: spare, unused'")
        browser.wait("document.documentElement.scrollWidth <= innerWidth")
        if situation.state:
            streams = "[...document.querySelectorAll('#streams tbody tr')]"
            browser.wait(f"{streams}.some((row) => row.cells[0].textContent === "
                         f"'{situation.state}')")
            if width == 390:
                assert browser.value(f"{streams}[0].offsetHeight") < 64, "more than two lines"
        if screenshot:
            browser.value("new Promise((done) => setTimeout(done, 3000))")
            browser.shoot(screenshot.replace(".png", f"-{situation.name}-{width}.png"))
    assert_alone(browser, url)
    browser.ask("Emulation.clearDeviceMetricsOverride")


def main():
    path = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)
    if not path:
        print("not tested, there is no Chromium")
        return 77
    program, screenshot = sys.argv[1], (sys.argv[2:] or [None])[0]
    started = []
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        try:
            demo = Program(program, folder, "demo.toml", """
                [server]
                listen = ["127.0.0.1:0"]
                [demo]
                listen = "127.0.0.1:0"
                interval = "200ms"
            """)
            started.append(demo)
            source = demo.says("demo event source on ").removesuffix("/events/")
            proxy = Program(program, folder, "proxy.toml", f"""
                [server]
                listen = ["127.0.0.1:0"]
                [log]
                access = "off"
                [admin]
                listen = "127.0.0.1:0"
                [[api]]
                name = "clock"
                listen_path = "/sse/"
                strip_listen_path = true
                target_url = "{source}"
                [[api]]
                name = "echo"
                listen_path = "/echo"
                target_url = "{echo()}"
            """)
            started.append(proxy)
            address = proxy.says("listening on ")
            url = proxy.says("admin listener on ")
            clients = [follow(address) for _ in range(3)]
            browser = Browser(path, os.path.join(folder, "profile"))
            started.append(browser)
            judge(browser, url, clients[0], tunnel(address), screenshot)
            several = Program(program, folder, "several.toml", f"""
                [server]
                listen = ["127.0.0.1:0"]
                workers = 2
                [log]
                access = "off"
                [admin]
                listen = "127.0.0.1:0"
                [[api]]
                name = "clock"
                listen_path = "/sse/"
                strip_listen_path = true
                target_url = "{source}"
                [api.share]
                join = "now"
            """)
            started.append(several)
            address = several.says("listening on ")
            url = several.says("admin listener on ")
            sharing = [follow(address) for _ in range(3)]
            judge_workers(browser, url)
            del sharing
            troubled = []
            for situation in SITUATIONS:
                proxy = Program(program, folder, f"{situation.name}.toml", situation.config())
                started.append(proxy)
                address = proxy.says("listening on ")
                troubled.append((situation, proxy.says("admin listener on ")))
                situation.begin(address.rsplit(":", 1))
            for situation, url in troubled:
                diagnose(browser, situation, url, screenshot)
        finally:
            for running in reversed(started):
                running.close()
    print("the live page does what it should")
    return 0


if __name__ == "__main__":
    sys.exit(main())
