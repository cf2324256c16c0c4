"""Servers commonly used for event streams behind a proxy, and how each is started.

All but odd.py send the streams of servers/streams.txt, and respond to /cached and /echo.
"""
import contextlib, shutil, socket, subprocess, sys, time
from pathlib import Path

HERE = Path(__file__).resolve().parent / "servers"
ENDED = 10  # seconds after SIGTERM until a server is killed

NGINX = """daemon off; error_log stderr; pid {scratch}/nginx.pid; events {{}}
http {{ access_log off; client_body_temp_path {scratch}/body; proxy_temp_path {scratch}/proxy;
    server {{ listen 127.0.0.1:{port}; location / {{ proxy_pass {behind}; proxy_buffering off;
        proxy_http_version 1.1; proxy_set_header Connection ""; }} }} }}"""
HAPROXY = """defaults
    mode http
    timeout connect 5s
    timeout client 60s
    timeout server 60s
frontend all
    bind 127.0.0.1:{port}
    default_backend node
backend node
    server node {address}
"""
CADDY = """{{
    admin off
    auto_https off
}}
http://127.0.0.1:{port} {{
    bind 127.0.0.1
    reverse_proxy {address}
}}
"""
LIGHTTPD = """server.document-root = "{scratch}"
server.bind = "127.0.0.1"
server.port = {port}
server.modules = ("mod_proxy")
server.stream-response-body = 2
proxy.server = ("" => (("host" => "127.0.0.1", "port" => {behind_port})))
"""


@contextlib.contextmanager
def running(command, folder, **options):
    process = subprocess.Popen([str(word) for word in command], cwd=folder, text=True,
                               stderr=subprocess.DEVNULL, **options)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(ENDED)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextlib.contextmanager
def saying(command, folder):
    """Starts a server that prints its port in its first line. Yields the port."""
    with running(command, folder, stdout=subprocess.PIPE) as process:
        with process.stdout:
            yield int(process.stdout.readline())


def free_port():
    """A port that was free a moment ago, for servers that cannot choose one themselves."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        return free.getsockname()[1]


@contextlib.contextmanager
def placed(command, folder, port):
    """Starts a server at a given port. Yields once it accepts connections there."""
    with running(command, folder, stdout=subprocess.DEVNULL) as process:
        end = time.monotonic() + 20
        while True:
            with contextlib.suppress(ConnectionRefusedError):
                socket.create_connection(("127.0.0.1", port)).close()
                break
            if process.poll() is not None or time.monotonic() > end:
                raise RuntimeError(f"{command[0]} does not start")
            time.sleep(0.02)
        yield port


@contextlib.contextmanager
def in_front(name, scratch, node, folder):
    """Another proxy, in front of Node."""
    with saying(node, folder) as behind_port:
        port = free_port()
        template, file, command = {
            "nginx": (NGINX, "nginx.conf", ["nginx", "-p", scratch, "-c"]),
            "haproxy": (HAPROXY, "haproxy.cfg", ["haproxy", "-f"]),
            "caddy": (CADDY, "Caddyfile", ["caddy", "run", "--adapter", "caddyfile", "--config"]),
            "lighttpd": (LIGHTTPD, "lighttpd.conf", ["lighttpd", "-D", "-f"]),
        }[name]
        address = f"127.0.0.1:{behind_port}"
        text = template.format(scratch=scratch, port=port, address=address,
                               behind="http://" + address, behind_port=behind_port)
        file = scratch / file
        file.write_text(text)
        with placed([*command, file], folder, port):
            yield port


class Upstreams:
    """The servers available here. `folder` has node_modules, `python` is the interpreter."""

    def __init__(self, folder, python, scratch, skip):
        self.folder, self.python, self.scratch, self.skip = folder, python, scratch, skip

    def all(self):
        """The name of each, and a context manager that starts it and yields its port."""
        yield "odd", self.say(sys.executable, "odd.py")
        for how in "1.0", "1.0-chunked", "1.1", "both":
            yield f"http.server {how}", self.say(sys.executable, "plain.py", how)
        for name, file, how, *needs in [
            ("werkzeug", "wsgi.py", "werkzeug", "flask"),
            ("gunicorn", "wsgi.py", "gunicorn", "flask", "gunicorn"),
            ("gevent", "wsgi.py", "gevent", "flask", "gevent"),
            ("waitress", "wsgi.py", "waitress", "flask", "waitress"),
            ("uvicorn h11", "asgi.py", "h11", "starlette", "uvicorn", "h11"),
            ("uvicorn httptools", "asgi.py", "httptools", "starlette", "uvicorn", "httptools"),
            ("hypercorn", "asgi.py", "hypercorn", "starlette", "hypercorn"),
            ("daphne", "asgi.py", "daphne", "starlette", "daphne"),
            ("django", "django_server.py", "", "django"), ("aiohttp", "aio.py", "", "aiohttp"),
            ("tornado", "tornado_server.py", "", "tornado"),
        ]:
            if self.importable(needs):
                yield name, self.say(self.python, file, how)
            else:
                self.skip(name, "pip install " + " ".join(needs))
        yield from self.others()

    def others(self):
        if self.has("node"):
            for how in "http", "express", "fastify":
                if how == "http" or (self.folder / "node_modules" / how).exists():
                    yield f"node {how}", self.say("node", "node.mjs", how)
                else:
                    self.skip(f"node {how}", f"npm install {how}")
            for name in "nginx", "haproxy", "caddy", "lighttpd":
                if self.has(name):
                    node = ["node", HERE / "node.mjs", "http"]
                    yield name, in_front(name, self.scratch, node, self.folder)
        if self.has("go"):
            binary = self.scratch / "streams"
            subprocess.run(["go", "build", "-o", binary, HERE / "main.go"], check=True,
                           cwd=self.scratch)
            yield "go", saying([binary, HERE / "streams.txt"], self.folder)
        if self.has("java"):
            yield "java", saying(["java", HERE / "Origin.java", HERE / "streams.txt"], self.folder)
        if self.has("php"):
            port = free_port()
            command = ["php", "-S", f"127.0.0.1:{port}", HERE / "index.php"]
            yield "php", placed(command, self.folder, port)
        if self.has("puma"):
            port = free_port()
            command = ["puma", "-q", "-b", f"tcp://127.0.0.1:{port}", HERE / "config.ru"]
            yield "puma", placed(command, self.folder, port)
        if self.has("ruby") and self.runs(["ruby", "-e", "require 'webrick'"], "webrick"):
            yield "webrick", self.say("ruby", "webrick.rb")

    def say(self, program, file, *arguments):
        return saying([program, HERE / file, *filter(None, arguments)], self.folder)

    def has(self, program):
        there = shutil.which(program) is not None
        if not there:
            self.skip(program, "not installed")
        return there

    def importable(self, names):
        probe = [self.python, "-c", "import " + ",".join(names)]
        return subprocess.run(probe, capture_output=True).returncode == 0

    def runs(self, probe, name):
        there = subprocess.run(probe, capture_output=True).returncode == 0
        if not there:
            self.skip(name, "not installed")
        return there
