"""Requests on a raw socket, and their responses: the bytes as sent, and decoded by http.client."""
import http.client, io, re, socket, sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent / "servers"))
from cases import OWN
from odd import ODD
from streams import STREAMS

# The field that the proxy adds to event streams without one.
UNCACHED = ("cache-control", "no-cache, no-transform")
# The requests to each server: a name, the method and target, the fields, the body.
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
# The requests to the server with unusual responses.
ODDITIES = {f"odd {name}": ("GET", f"/odd/{name}", {}, b"") for name in ODD}


def what_is_asked(server):
    return ODDITIES if server == "odd" else ASKED


class Bytes:
    """Takes the place of a socket for http.client."""

    def __init__(self, wire):
        self.wire = wire

    def makefile(self, _):
        return io.BytesIO(self.wire)


def decode(wire, method):
    """Status, fields, body. Raises http.client.IncompleteRead with the part of a truncated body."""
    response = http.client.HTTPResponse(Bytes(past_interim(wire)), method=method)
    response.begin()
    body = b""
    try:
        while piece := response.read1():
            body += piece
    except http.client.IncompleteRead as error:
        raise http.client.IncompleteRead(body + error.partial) from error
    # It does not detect that a body is shorter than its length.
    if response.length:
        raise http.client.IncompleteRead(body, response.length)
    return response.status, response.getheaders(), body


def past_interim(wire):
    while re.match(rb"HTTP/1\.1 1\d\d", wire):
        wire = wire.partition(b"\r\n\r\n")[2]
    return wire


def ask(port, method, target, fields, body, version="1.1", close=True):
    """The response as sent. The connection is closed after it, so everything can be read."""
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
    """Whether a response is known to be complete before its connection ends."""
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
    """What a client gets: the status, the fields that a proxy must not change, the body."""
    method, *request = (ASKED | ODDITIES)[what]
    try:
        status, fields, body = decode(ask(port, method, *request, **how), method)
    # A reset may discard what arrived before it.
    except (http.client.IncompleteRead, ConnectionResetError):
        return "cut", [], b""
    except (OSError, http.client.HTTPException, ValueError) as error:
        return repr(error), [], b""
    fields = sorted((name.lower(), value) for name, value in fields)
    # A length beside the chunked coding is ignored, and not forwarded.
    own = OWN | {"content-length"} if ("transfer-encoding", "chunked") in fields else OWN
    kept = [field for field in fields if field[0] not in own and field != UNCACHED]
    # Unusual heads are not forwarded unchanged.
    return status, [] if what in ODDITIES else kept, body


def differences(direct, proxied, asked):
    """Differences for clients that close connections, that keep them, and that use HTTP/1.0."""
    wrong = []
    for what in asked:
        expected = told(direct, what)
        for how in {}, {"close": False}, {"version": "1.0"}:
            got = told(proxied, what, **how)
            # With some servers the framing depends on how much of a body is ready at the time.
            if got != expected and all(told(direct, what) != got for _ in range(5)):
                wrong.append(f"{what} {how}:\n  direct  {expected}\n  proxied {got}")
    return "\n".join(wrong[:5])
