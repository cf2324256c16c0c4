"""Situations that an operator may find: the api "prices" is in trouble, and the page says why."""

import contextlib
import socket
import threading
import time

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
BAD_GATEWAY = b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n"
INTERNAL_ERROR = b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n"


def serve(answer):
    """Starts a server that calls `answer` for each connection. Returns its address."""
    listener = socket.create_server(("127.0.0.1", 0))

    def one(conn):
        with conn, contextlib.suppress(OSError):
            conn.recv(4096)
            answer(conn, listener)

    def run():
        with contextlib.suppress(OSError):
            while True:
                conn = listener.accept()[0]
                threading.Thread(target=one, args=[conn], daemon=True).start()

    threading.Thread(target=run, daemon=True).start()
    return "http://%s:%d" % listener.getsockname()


def nobody():
    """An address with no listener."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return "http://%s:%d" % listener.getsockname()


def bad_gateway(conn, _):
    conn.sendall(BAD_GATEWAY)


def internal_error(conn, _):
    conn.sendall(INTERNAL_ERROR)


def events(conn, _):
    conn.sendall(HEAD)
    while True:
        conn.sendall(b"data: 1\n\n")
        time.sleep(0.2)


def flood(conn, _):
    conn.sendall(HEAD)
    while True:
        conn.sendall(b"data: %s\n\n" % (b"x" * 4000))


def break_off(conn, listener):
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    chunked = HEAD.replace(b"\r\n\r\n", b"\r\nTransfer-Encoding: chunked\r\n\r\n")
    conn.sendall(chunked + b"f\r\nid: 1\ndata: 1\n\n\r\n")


def ask(address):
    """A client whose connection is not closed here."""
    client = socket.create_connection(address, 20)
    client.sendall(b"GET /prices HTTP/1.1\r\nHost: a.example\r\n"
                   b"Accept: text/event-stream\r\n\r\n")
    return client


class Situation:
    def __init__(self, name, target, verdict, says, state=None, again=False, settings="", level=2,
                 emptied=False, detail=""):
        """If `again`, the client sends requests all the time; otherwise it keeps one stream open.
        `detail` is what the page says besides the verdict. In the texts `TARGET` is the target, `N` a number, and `CLOCK` a time. `level` is the
        severity. If `emptied`, there is another target, of weight 0."""
        self.name, self.state, self.again, self.settings = name, state, again, settings
        self.url, self.level = target(), level
        self.targets = f'"{self.url}"'
        if emptied:
            self.targets = f'[{self.targets}, {{ url = "{nobody()}", weight = 0 }}]'
        expand = {"TARGET": self.url.replace(".", "[.]") + "/", "CLOCK": "[0-9]+:[0-9]+",
                  "N": "[1-9][0-9]*"}
        for word, pattern in expand.items():
            verdict, says = verdict.replace(word, pattern), says.replace(word, pattern)
            detail = detail.replace(word, pattern)
        self.verdict, self.target, self.clients = f"^{verdict}", f"^{says}$", []
        self.detail = f"^{detail}"

    def config(self):
        apis = "".join(f"""
            [[api]]
            name = "{name}"
            listen_path = "/{name}"
            target_url = {self.targets}
        """ for name in ["spare", "unused", "prices"])
        return f"""
            [server]
            listen = ["127.0.0.1:0"]
            write_timeout = "10m"
            [log]
            access = "off"
            level = "error"
            [admin]
            listen = "127.0.0.1:0"
            {apis}
            {self.settings}
        """

    def begin(self, address):
        host, port = address[0].removeprefix("http://"), int(address[1].rstrip("/"))

        def run():
            with contextlib.suppress(OSError):
                while True:
                    with ask((host, port)) as client:
                        client.recv(4096)
                    time.sleep(0.1)

        if not self.again or self.state:
            self.clients.append(ask((host, port)))
            if self.state != "stuck":
                self.clients[0].recv(4096)
        if self.again:
            threading.Thread(target=run, daemon=True).start()


SITUATIONS = [
    Situation("refused", nobody, again=True,
              verdict="prices: TARGET refuses connections since CLOCK; "
              "N requests? not served in the last minute[.]$",
              says="TARGET refuses connections since CLOCK"),
    Situation("emptied", nobody, again=True, emptied=True,
              verdict="prices: TARGET refuses connections since CLOCK; "
              "N requests? not served in the last minute[.]$",
              says="TARGET refuses connections since CLOCK"),
    Situation("auth", lambda: serve(events), again=True,
              settings=f"[api.auth]\nurl = '{nobody()}'",
              verdict="prices: the auth server http:[0-9./:]* refuses connections since CLOCK; "
              "requests are refused; N requests? not served in the last minute[.]$",
              says="the auth server http:[0-9./:]* refuses connections since CLOCK; 1 of 1 up"),
    Situation("502s", lambda: serve(bad_gateway), again=True,
              verdict="prices: TARGET responds with 502 since CLOCK; "
              "N requests? not served in the last minute[.]$",
              says="TARGET responds with 502 since CLOCK"),
    Situation("held", nobody, state="held", settings="on_outage = 'hold'",
              verdict="prices: TARGET refuses connections since CLOCK; "
              "1 request not served in the last minute; 1 stream is held[.]$",
              says="TARGET refuses connections since CLOCK"),
    Situation("resuming", lambda: serve(break_off), state="resuming", settings="resume = true",
              verdict="prices: TARGET refuses connections since CLOCK; "
              "1 stream is being resumed[.]$",
              says="TARGET refuses connections since CLOCK"),
    Situation("cut", lambda: serve(break_off), level=1,
              verdict="prices: cut in the last minute: upstream_cut 1[.]$",
              says="TARGET is up, but failed at CLOCK [(]cut[)]"),
    Situation("stuck", lambda: serve(flood), state="stuck",
              verdict="prices: 1 stream is stuck: bytes are waiting but the client is "
              "not reading; "
              "longest 127[.]0[.]0[.]1 with /prices, for N",
              says="1 of 1 up"),
    Situation("saturated", lambda: serve(events), state="flowing", again=True,
              settings="max_streams = 1",
              verdict="prices: N requests? refused in the last minute; "
              "api[.]max_streams was reached[.]$",
              says="1 of 1 up"),
    Situation("500s", lambda: serve(internal_error), again=True, settings="max_requests = '2/s'",
              verdict="prices: N requests? refused in the last minute; "
              "api[.]max_requests was reached[.]$",
              detail="prices: N requests? not served in the last minute; "
              "the upstream responded with 500[.]$",
              says="1 of 1 up"),
]
