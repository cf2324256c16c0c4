"""Requests on a raw socket, and what came: the bytes as sent, and as http.client decodes them."""
import http.client, io, re, socket, sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent / "servers"))
from cases import OWN
from odd import ODD
from streams import STREAMS

# What the proxy says of an event stream where the server says nothing.
UNCACHED = ("cache-control", "no-cache, no-transform")
# What is asked of each server: a name, the request's first words, its fields, its body.
ASKED = {f"stream {name}": ("GET", f"/stream/{name}", {"Accept": "text/event-stream"}, b"")
         for name in STREAMS}
ASKED |= {
    "head": ("HEAD", "/cached", {}, b""),
    "whole": ("GET", "/cached", {}, b""),
    "304": ("GET", "/cached", {"If-None-Match": '"one"'}, b""),
    "echo": ("POST", "/echo", {"Content-Type": "application/octet-stream"}, bytes(range(256))),
    "post stream": ("POST", "/stream/tokens", {"Content-Type": "text/plain"}, b"hello"),
    "head stream": ("HEAD", "/stream/plain", {}, b""),
}
# What is asked of the server that sends odd things.
ODDITIES = {f"odd {name}": ("GET", f"/odd/{name}", {}, b"") for name in ODD}


def what_is_asked(server):
    return ODDITIES if server == "odd" else ASKED


class Bytes:
    """What http.client reads from, in place of a socket."""

    def __init__(self, wire):
        self.wire = wire

    def makefile(self, _):
        return io.BytesIO(self.wire)


def decode(wire, method):
    """Status, fields, body; of one that breaks, http.client.IncompleteRead with what there is."""
    response = http.client.HTTPResponse(Bytes(past_interim(wire)), method=method)
    response.begin()
    body = b""
    try:
        while piece := response.read1():
            body += piece
    except http.client.IncompleteRead as error:
        raise http.client.IncompleteRead(body + error.partial) from error
    # It does not see by itself that a length is not reached.
    if response.length:
        raise http.client.IncompleteRead(body, response.length)
    return response.status, response.getheaders(), body


def past_interim(wire):
    while re.match(rb"HTTP/1\.1 1\d\d", wire):
        wire = wire.partition(b"\r\n\r\n")[2]
    return wire


def ask(port, method, target, fields, body, version="1.1", close=True):
    """The response as it was sent. The connection is told to end, so that its end says all."""
    lines = [f"{method} {target} HTTP/{version}", "Host: a.example"]
    lines += [f"{name}: {value}" for name, value in fields.items()]
    lines += ["Connection: close"] if close else []
    lines += [f"Content-Length: {len(body)}"] if method == "POST" else []
    with socket.create_connection(("127.0.0.1", port), timeout=20) as client:
        client.sendall("\r\n".join([*lines, "", ""]).encode() + body)
        wire = b""
        while data := client.recv(65536):
            wire += data
            if not close and is_whole(wire, method):
                break
    return wire


def is_whole(wire, method):
    """Whether this says by itself that it is complete; what ends with its connection never does."""
    if b"\r\n\r\n" not in past_interim(wire):
        return False
    head = past_interim(wire).partition(b"\r\n\r\n")[0].lower()
    bodiless = method == "HEAD" or re.match(rb"http/1\.\d (204|304)", head)
    if not bodiless and b"\ntransfer-encoding:" not in head and b"\ncontent-length:" not in head:
        return False
    try:
        decode(wire, method)
    except (http.client.HTTPException, ValueError):
        return False
    return True


# --- Directly, and through the proxy ---------------------------------------------------------


def told(port, what, **how):
    """What a client gets: the status, the fields that a proxy may not change, the body."""
    method, *request = (ASKED | ODDITIES)[what]
    try:
        status, fields, body = decode(ask(port, method, *request, **how), method)
    # A reset may take with it what came before.
    except (http.client.IncompleteRead, ConnectionResetError):
        return "cut", [], b""
    except (OSError, http.client.HTTPException, ValueError) as error:
        return repr(error), [], b""
    fields = sorted((name.lower(), value) for name, value in fields)
    # A length beside the chunked coding does not count, and is not passed on.
    own = OWN | {"content-length"} if ("transfer-encoding", "chunked") in fields else OWN
    kept = [field for field in fields if field[0] not in own and field != UNCACHED]
    # Odd heads do not go out as they came.
    return status, [] if what in ODDITIES else kept, body


def differences(direct, proxied, asked):
    """What differs, for clients that end their connections, that keep them, and of HTTP/1.0."""
    wrong = []
    for what in asked:
        expected = told(direct, what)
        for how in {}, {"close": False}, {"version": "1.0"}:
            got = told(proxied, what, **how)
            # Some servers frame an answer by what has come of it so far: by chance.
            if got != expected and all(told(direct, what) != got for _ in range(5)):
                wrong.append(f"{what} {how}:\n  direct  {expected}\n  proxied {got}")
    return "\n".join(wrong[:5])
