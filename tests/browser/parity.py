"""Streams that a browser must read the same with and without the proxy: bytes, cuts, ends."""
from chrome import chrome
from millstream import millstream
from stage import HEAD, Desk, stage
from waiting import within

END = "id: last\nevent: named\ndata: end\n\n"
UMLAUT = "data: wörds ☃\n\n".encode()

# Each piece is written as a chunk, in its own write.
STREAMS = {
    "lf": ["data: a\ndata: b\n\n", "data: c\n\n"],
    "cr": ["data: a\rdata: b\r\r", "data: c\r\r"],
    "crlf": ["data: a\r\ndata: b\r\n\r\n", "data: c\r\n\r\n"],
    "crlf cut in two": ["data: a\r", "\ndata: b\r\n\r", "\ndata: c\r\n", "\r\n"],
    "every byte alone": [bytes([byte]) for byte in b"id: 7\r\ndata: x\r\n\r\n:c\ndata:y\r\r"],
    "utf-8 cut in two": [bytes([byte]) for byte in UMLAUT],
    "bom": [b"\xef\xbb\xbfdata: a\n\n", b"\xef\xbb\xbfdata: not\n\n"],
    "comments": [": one\n\n", ":two\ndata: a\n:three\ndata: b\n\n", ":\n\n"],
    "ids": ["id: 1\ndata: a\n\n", "id\ndata: b\n\n", "id: x\0y\ndata: c\n\n", "id: 3\ndata: d\n\n"],
    "fields nobody knows": ["foo: bar\n\n", "Data: no\ndata:yes\n\n", "data: a:b\n\n"],
    "names": ["event: named\ndata: a\n\n", "event: other\ndata: b\n\n", "event:\ndata: c\n\n"],
    "large": ["data: " + "x" * 300_000 + "\n\n", "data: small\n\n"],
    "many": ["".join(f"id: {n}\ndata: {n}\n\n" for n in range(200))],
    "empty data": ["data\n\n", "data:\n\n", "data:  two spaces\n\n"],
}
TYPE = b"text/event-stream"
HEADS = {
    "charset": HEAD.replace(TYPE, TYPE + b"; charset=utf-8"),
    "another type": HEAD.replace(TYPE, b"application/json"),
    "204": b"HTTP/1.1 204 No Content\r\n\r\n",
    "500": HEAD.replace(b"200 OK", b"500 Oh"),
    "no cors": HEAD.replace(b"Access-Control-Allow-Origin: *\r\n", b""),
}


def run(report):
    cases = {f"parity {name}": (HEAD, pieces, "") for name, pieces in STREAMS.items()}
    cases |= {f"parity head: {name}": (head, ["data: a\n\n"], "")
              for name, head in HEADS.items()}
    for name, half in ("between events", ""), ("in an event", "data: half\n"):
        cases[f"parity end {name}"] = HEAD, ["retry: 50\nid: 1\ndata: a\n\n" + half], "end"
        cases[f"parity cut {name}"] = HEAD, ["retry: 50\nid: 1\ndata: a\n\n" + half], "cut"
    cases = {name: case for name, case in cases.items() if report.wants(name)}
    if not cases:
        return
    with chrome() as browser, stage() as server:
        desk = Desk()
        with millstream(("/page", desk.url), ("/", server.url)) as proxy:
            for name, case in cases.items():
                direct = f"http://s.test:{server.port}"
                direct = seen(browser, server, desk, desk.origin, direct, *case)
                proxied = proxy.origin("page.test"), proxy.origin("s.test")
                proxied = seen(browser, server, desk, *proxied, *case)
                same = direct == proxied and direct[1]
                report.verdict(name, None if same else f"directly {direct}\nproxied  {proxied}")
        desk.shutdown()


def seen(browser, server, desk, origin, host, head, pieces, ending):
    """The page's log of a stream, or of two if the first one ends."""
    with desk.page(browser, origin, [host]) as page:
        if not (stream := server.asked(page.target(0))):
            return "nothing was asked", []
        stream.begin(head)
        asked = [stream.last_event_id]
        if b"chunked" in head:
            for piece in pieces:
                stream.send(piece)
        if ending:
            within(20, page.data)
            stream.end() if ending == "end" else stream.cut(reset=True)
            if not (stream := server.asked(page.target(0), after=1)):
                return "it does not come back", []
            asked.append(stream.last_event_id)
            stream.begin()
        if b"chunked" in head:
            stream.send(END)
        within(20, lambda: any(over(entry) for entry in page.log))
        log = page.log
    stream.cut()
    return asked, [(e["type"], e["state"], short(e.get("data")), e.get("id")) for e in log]


def over(entry):
    return entry.get("data") == "end" or entry["state"] == 2


def short(data):
    return data if data is None or len(data) < 50 else f"{len(data)} bytes"
