"""An event server controlled by the tests, and the page that reports what a browser received."""
import contextlib, http.server, json, socket, struct, threading

from waiting import within

HEAD = (b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n"
        b"Access-Control-Allow-Origin: *\r\n\r\n")


class Stream:
    """A request, and its response in progress."""

    def __init__(self, connection, head):
        self.connection = connection
        line, *fields = head.decode("latin-1").split("\r\n")
        self.target = line.split()[1]
        pairs = (field.partition(":") for field in fields if field)
        self.fields = {name.lower(): value.strip() for name, _, value in pairs}
        self.last_event_id = self.fields.get("last-event-id", "")

    def begin(self, head=HEAD):
        self.connection.sendall(head)
        return self

    def send(self, text):
        data = text if isinstance(text, bytes) else text.encode()
        with contextlib.suppress(OSError):  # a client may leave
            self.connection.sendall(b"%x\r\n%s\r\n" % (len(data), data))
        return self

    def left(self, seconds):
        """Whether the client closes in time."""
        self.connection.settimeout(seconds)
        try:
            return self.connection.recv(1) == b""
        except TimeoutError:
            return False
        except OSError:
            return True

    def end(self):
        with contextlib.suppress(OSError):
            self.connection.sendall(b"0\r\n\r\n")
        self.cut()

    def cut(self, reset=False):
        """Ends the connection here, even in the middle of something, unless it has ended before."""
        if self.connection.fileno() < 0:
            return
        if reset:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        with contextlib.suppress(OSError):
            if not reset:
                self.connection.shutdown(socket.SHUT_RDWR)
        self.connection.close()


class Stage:
    """It has a fixed port, but listens only between up() and down()."""

    def __init__(self):
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.url, self.listener = f"http://127.0.0.1:{self.port}", None
        self.streams, self.lock = [], threading.Lock()

    def up(self):
        self.listener = socket.create_server(("127.0.0.1", self.port), backlog=100)
        threading.Thread(target=self.accept, args=[self.listener], daemon=True).start()
        return self

    def down(self):
        """Closes everything, as if the process were killed."""
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for stream in list(self.streams):
            stream.cut(reset=True)

    def accept(self, listener):
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listener.accept()
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                threading.Thread(target=self.read, args=[connection], daemon=True).start()

    def read(self, connection):
        head = b""
        with contextlib.suppress(OSError):
            while b"\r\n\r\n" not in head:
                if not (data := connection.recv(65536)):
                    return connection.close()
                head += data
            with self.lock:
                self.streams.append(Stream(connection, head.partition(b"\r\n\r\n")[0]))

    def asked(self, target, seconds=30, after=0):
        """The next request for `target` after the first `after` ones, or None."""
        def found():
            return [stream for stream in list(self.streams) if stream.target == target][after:]
        return found()[0] if within(seconds, found) else None


@contextlib.contextmanager
def stage(listening=True):
    made = Stage()
    if listening:
        made.up()
    try:
        yield made
    finally:
        with contextlib.suppress(OSError, AttributeError):
            made.down()


PAGE = b"""<!doctype html><meta charset=utf-8><title>EventSources</title><script>
// ?run=1&host=http://a.test:80&host=http://b.test:80&path=/x opens an EventSource for each.
const said = new URLSearchParams(location.search), run = said.get('run'), sources = [];
let order = Promise.resolve();
function log(source, type, event) {
  const state = sources[source].readyState, time = performance.now();
  const entry = JSON.stringify({run, source, type, state, time, data: event.data,
                                id: event.lastEventId});
  order = order.then(() => fetch('/page/log', {method: 'POST', body: entry}));
}
said.getAll('host').forEach((host, n) => {
  const url = host + said.get('path') + n;
  const source = sources[n] = new EventSource(url, {withCredentials: said.has('credentials')});
  for (const type of ['open', 'message', 'error', 'named']) {
    source.addEventListener(type, (event) => log(n, type, event));
  }
});
</script>"""


class Page:
    """An open page; `log` is what it received."""

    def __init__(self, desk, run):
        self.desk, self.run, self.path = desk, run, f"/events/{run}-"

    def target(self, source):
        return f"{self.path}{source}"

    @property
    def log(self):
        return [entry for entry in list(self.desk.entries) if entry["run"] == self.run]

    def saw(self, kind, source=None):
        return [entry for entry in self.log
                if entry["type"] == kind and source in (None, entry["source"])]

    def data(self, source=None):
        return [entry["data"] for entry in self.saw("message", source)]

    def story(self):
        return " ".join(f"{e['type']}[{e['state']}]{e.get('data', '')[:20]!r}" for e in self.log)


class Desk(http.server.ThreadingHTTPServer):
    """Serves the page, and keeps what pages report about their EventSources."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), DeskHandler)
        self.url, self.entries, self.runs = f"http://127.0.0.1:{self.server_port}", [], 0
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def origin(self):
        """The origin of the page itself, without a proxy."""
        return f"http://page.test:{self.server_port}"

    @contextlib.contextmanager
    def page(self, browser, origin, hosts, credentials=False):
        """Opens a page at this origin, with an EventSource for each host, which is an origin,
        too."""
        self.runs += 1
        page = Page(self, str(self.runs))
        query = "".join(f"&host={host}" for host in hosts)
        query += "&credentials" if credentials else ""
        with browser.page(f"{origin}/page/?run={page.run}&path={page.path}{query}"):
            yield page

    def handle_error(self, *_):
        """A page that is closed during a request is no error."""


class DeskHandler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *_):
        pass

    def say(self, content, kind, cookie=None):
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        if cookie:
            self.send_header("Set-Cookie", cookie)
        self.end_headers()
        self.wfile.write(content)

    def do_GET(self):
        # The hosts are same-site, so their ports make them other origins, but cookies ignore ports.
        self.say(PAGE, "text/html", "user=page; Path=/")

    def do_POST(self):
        entry = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.entries.append(json.loads(entry))
        self.say(b"", "text/plain")
