"""The part of web-platform-tests' server that the tests of EventSource need.

It serves a checkout: files, the pages around .any.js and .window.js tests, and the Python
resources, which are run unchanged. Tests send their results to /results.
"""
import html, http.cookies, http.server, json, mimetypes, re, sys, threading, types, urllib.parse
from email.utils import formatdate
from pathlib import Path

REPORT = """add_completion_callback((tests, status) => fetch('/results', {method: 'POST', body:
    JSON.stringify({status: status.status, message: status.message, tests: tests.map(
        ({name, status, message}) => ({name, status, message}))})}));"""
GLOBAL = "self.GLOBAL = {isWindow: () => %s, isWorker: () => %s, isShadowRealm: () => false};"
WINDOW = """<!doctype html><meta charset=utf-8>{meta}<title>{title}</title>
<script>{globe}</script><script src=/resources/testharness.js></script>
<script src=/resources/testharnessreport.js></script>{scripts}<div id=log></div>{run}"""


# --- What resources are given ---------------------------------------------------------------


class Many(dict):
    """The values of a name: the first one, or a default."""

    def first(self, name, *default):
        if name in self:
            return self[name][0]
        if default:
            return default[0]
        raise KeyError(name)

    def get(self, name, default=None):
        return self.first(name, default)

    def all(self, name):
        return self[name] if name in self else []


class Fields:
    """Header fields of a request (bytes, in any case) or of a response (in order)."""

    def __init__(self, fields=()):
        self.fields = [(as_bytes(name), as_bytes(value)) for name, value in fields]

    def get(self, name, default=None):
        found = [value for key, value in self.fields if key.lower() == as_bytes(name).lower()]
        return b", ".join(found) if found else default

    def __getitem__(self, name):
        if (value := self.get(name)) is None:
            raise KeyError(name)
        return value

    def __contains__(self, name):
        return self.get(name) is not None

    def append(self, name, value):
        self.fields.append((as_bytes(name), as_bytes(value)))

    def set(self, name, value):
        self.fields = [field for field in self.fields if field[0].lower() != as_bytes(name).lower()]
        self.append(name, value)

    def update(self, fields):
        for name, value in fields:
            self.set(name, value)


class Cookie(bytes):
    value = property(bytes)


class Request:
    def __init__(self, handler, server):
        url = urllib.parse.urlsplit(handler.path)
        self.method, self.server, self.doc_root = handler.command, server, str(server.root)
        self.url, self.url_parts, self.headers = handler.path, url, Fields()
        self.headers.fields = [(name.encode("latin-1"), value.encode("latin-1"))
                               for name, value in handler.headers.items()]
        self.GET = Many()
        for name, value in urllib.parse.parse_qsl(url.query, True, encoding="latin-1"):
            self.GET.setdefault(name.encode("latin-1"), []).append(value.encode("latin-1"))
        self.cookies = Many()
        for pair in self.headers.get(b"cookie", b"").split(b";"):
            name, _, value = pair.strip().partition(b"=")
            self.cookies.setdefault(name, []).append(Cookie(value))
        self.body = handler.rfile.read(int(handler.headers.get("Content-Length", 0)))


class Response:
    """A complete response, or one that a resource writes itself, piece by piece."""

    def __init__(self, handler):
        self.handler, self.status, self.headers, self.content = handler, 200, Fields(), b""
        self.writer, self.begun = self, False

    def set_cookie(self, name, value, expires=None):
        when = f"; Expires={formatdate(expires.timestamp(), usegmt=True)}" if expires else ""
        self.headers.append(b"Set-Cookie", as_bytes(name) + b"=" + as_bytes(value)
                            + b"; Path=/" + when.encode())

    def delete_cookie(self, name):
        self.headers.append(b"Set-Cookie", as_bytes(name) + b"=; Path=/; Max-Age=0")

    def bodiless(self):
        status = self.status[0] if isinstance(self.status, tuple) else self.status
        return int(status) in (204, 304)

    def write_status_headers(self, length=None):
        """Without a length the body ends with the connection."""
        status = self.status if isinstance(self.status, tuple) else (self.status, None)
        self.handler.send_response(int(status[0]), status[1] and as_bytes(status[1]).decode())
        for name, value in self.headers.fields:
            self.handler.send_header(name.decode("latin-1"), value.decode("latin-1"))
        if length is None:
            self.handler.send_header("Connection", "close")
            self.handler.close_connection = True
        elif not self.bodiless():
            self.handler.send_header("Content-Length", str(length))
        self.handler.end_headers()
        self.begun = True

    def write(self, data):
        self.handler.wfile.write(as_bytes(data))
        return True

    def finish(self, result):
        if isinstance(result, tuple):
            *status, headers, result = result
            if status:
                self.status = status[0]
            for name, value in headers:
                self.headers.append(name, value)
        if self.begun:
            return
        content = as_bytes(self.content if result is None else result)
        self.write_status_headers(len(content))
        if self.handler.command != "HEAD" and not self.bodiless():
            self.write(content)


class Stash:
    """Values that one request stores for another."""

    def __init__(self):
        self.lock, self.kept = threading.RLock(), {}

    def put(self, key, value):
        self.kept[key] = value

    def take(self, key):
        return self.kept.pop(key, None)


def as_bytes(text):
    return text if isinstance(text, bytes) else str(text).encode("utf-8")


def substitute(request, content):
    """Expands the templates in use: {{headers[...]}}, {{GET[...]}}, {{host}}."""
    def value(match):
        kind, key = match[1], (match[2] or b"").strip(b"[]")
        if kind == b"headers":
            return request.headers.get(key, b"")
        if kind == b"GET":
            return html.escape(request.GET.first(key, b"").decode()).encode()
        if kind == b"host":
            return request.headers[b"host"].split(b":")[0]
        return match[0]
    return re.sub(rb"{{(\w+)(\[[^]]*\])?}}", value, as_bytes(content))


def pretend_wptserve():
    """Provides the parts of wptserve that resources import."""
    def sub(request, response):
        response.content = substitute(request, response.content)
    package = types.ModuleType("wptserve")
    package.__path__ = []
    package.utils = types.ModuleType("wptserve.utils")
    package.utils.isomorphic_decode = lambda data: as_bytes(data).decode("latin-1")
    package.pipes = types.ModuleType("wptserve.pipes")
    package.pipes.sub = sub
    for module in package, package.utils, package.pipes:
        sys.modules[module.__name__] = module


# --- The pages around scripts ---------------------------------------------------------------


def meta(source):
    """The // META: lines at the beginning of a script."""
    found = Many()
    for line in source.read_text("utf-8").splitlines():
        if not (match := re.match(r"//\s*META:\s*(\w+)=(.*)", line)):
            break
        found.setdefault(match[1], []).append(match[2].strip())
    return found


def scopes(source):
    """Where a .any.js test runs. Service workers are left out: they need an origin with TLS."""
    said = meta(source).first("global", "window,dedicatedworker").split(",")
    ways = {"window": ["html"], "dedicatedworker": ["worker.html"],
            "sharedworker": ["sharedworker.html"], "worker": ["worker.html", "sharedworker.html"]}
    return [way for scope in said for way in ways.get(scope.strip(), [])]


def wrapped(root, path):
    """The page or worker that runs a test's script, or None."""
    match = re.fullmatch(r"(.*?)\.(any|window|worker)\.((?:shared)?worker\.)?(html|js)", path)
    if not match:
        return None
    stem, kind, worker, extension = match.groups()
    script = f"{stem}.{kind}.js"
    source = root / script.lstrip("/")
    if path == script or not source.is_file():
        return None
    said = meta(source)
    if extension == "js":
        lines = [GLOBAL % ("false", "true"), "importScripts('/resources/testharness.js');"]
        if "title" in said:
            lines.append(f"self.META_TITLE = {json.dumps(said.first('title'))};")
        for other in [*said.all("script"), script]:
            lines.append(f"importScripts({json.dumps(other)});")
        return "text/javascript", "\n".join([*lines, "done();"])
    scripts = "" if worker or kind == "worker" else "".join(
        f"<script src={json.dumps(other)}></script>" for other in said.all("script"))
    run = f"<script src={json.dumps(script)}></script>"
    if worker or kind == "worker":
        made = "SharedWorker" if worker == "sharedworker." else "Worker"
        url = f"{stem}.{kind}.{worker}js" if worker else script
        run = f"<script>fetch_tests_from_worker(new {made}({json.dumps(url)}));</script>"
    long = "<meta name=timeout content=long>" if said.first("timeout", "") == "long" else ""
    title, globe = html.escape(said.first("title", "")), GLOBAL % ("true", "false")
    return "text/html", WINDOW.format(meta=long, title=title, globe=globe, scripts=scripts, run=run)


def tests(root):
    """The paths of all tests of EventSource."""
    for file in sorted((root / "eventsource").rglob("*")):
        path = "/" + file.relative_to(root).as_posix()
        if "/resources/" in path or not file.is_file():
            continue
        if path.endswith(".any.js"):
            yield from (path.removesuffix("js") + way for way in scopes(file))
        elif path.endswith((".window.js", ".worker.js")):
            yield path.removesuffix("js") + "html"
        elif path.endswith((".html", ".htm")):
            yield path


# --- The server -----------------------------------------------------------------------------


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *_):
        pass

    def answer(self):
        request, response = Request(self, self.server), Response(self)
        try:
            response.finish(self.result(request, response))
        except OSError:
            self.close_connection = True

    do_GET = do_HEAD = do_POST = do_OPTIONS = answer

    def result(self, request, response):
        path = urllib.parse.unquote(request.url_parts.path)
        if path == "/results":
            self.server.results.append(json.loads(request.body))
            return b""
        if path == "/resources/testharnessreport.js":
            return [(b"Content-Type", b"text/javascript")], REPORT
        file = (self.server.root / path.lstrip("/")).resolve()
        if made := wrapped(self.server.root, path):
            return [(b"Content-Type", made[0] + "; charset=utf-8")], made[1]
        if not file.is_file() or not file.is_relative_to(self.server.root):
            return 404, [(b"Content-Type", b"text/plain")], b"no such file\n"
        if file.suffix == ".py":
            space = {"__file__": str(file), "__name__": file.stem}
            exec(compile(file.read_bytes(), str(file), "exec"), space)
            return space["main"](request, response)
        content = file.read_bytes()
        if ".sub." in file.name or b"sub" in request.GET.first(b"pipe", b""):
            content = substitute(request, content)
        kind = mimetypes.guess_type(file)[0] or "text/plain"
        if file.suffix == ".event_stream":
            kind = "text/event-stream"
        return [(b"Content-Type", kind)], content


class Server(http.server.ThreadingHTTPServer):
    request_queue_size = 100
    daemon_threads = True

    def __init__(self, root):
        super().__init__(("127.0.0.1", 0), Handler)
        self.root, self.results, self.stash = root.resolve(), [], Stash()
        pretend_wptserve()
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def handle_error(self, *_):
        """A page that leaves is no error; failures of a resource show in its test."""
