"""A headless Chromium with its own profile, controlled through its debugging port."""
import contextlib, json, shutil, subprocess, tempfile, urllib.parse, urllib.request
from pathlib import Path

from waiting import within

# All names under .test resolve to this host, so a page can have as many origins as it needs. The
# other flags keep Chromium from sending requests of its own, and from throttling hidden pages.
FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--disable-background-timer-throttling", "--disable-renderer-backgrounding",
    "--disable-backgrounding-occluded-windows", "--disable-popup-blocking",
    "--host-resolver-rules=MAP *.test 127.0.0.1", "--remote-debugging-port=0",
]


# The certificate to accept, if pages are served over https.
certificate = None


def find():
    return shutil.which("chromium") or shutil.which("google-chrome")


class Chrome:
    def __init__(self, port):
        self.base = f"http://127.0.0.1:{port}/json/"

    def ask(self, method, what):
        request = urllib.request.Request(self.base + what, method=method)
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.read()

    @contextlib.contextmanager
    def page(self, url):
        """Opens a page. At the end it is closed, with all pages that it has opened."""
        before = {tab["id"] for tab in json.loads(self.ask("GET", "list"))}
        self.ask("PUT", "new?" + urllib.parse.quote(url, safe=":/?="))
        try:
            yield
        finally:
            for tab in json.loads(self.ask("GET", "list")):
                if tab["id"] not in before and tab["type"] == "page":
                    with contextlib.suppress(OSError):
                        self.ask("GET", "close/" + tab["id"])


@contextlib.contextmanager
def chrome():
    with tempfile.TemporaryDirectory(prefix="browser-", ignore_cleanup_errors=True) as profile:
        trust = [f"--ignore-certificate-errors-spki-list={certificate.spki}"] if certificate else []
        command = [find(), *FLAGS, *trust, f"--user-data-dir={profile}", "about:blank"]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            told = Path(profile) / "DevToolsActivePort"
            if not within(60, lambda: told.exists() and "\n" in told.read_text()):
                raise RuntimeError("chromium does not start")
            yield Chrome(int(told.read_text().split()[0]))
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
