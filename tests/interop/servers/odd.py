"""Responses of devices and old servers that are unusual, but have only one valid reading."""
import socket, threading

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
EVENT = b"data: one\n\ndata: two\n\n"  # 22 bytes
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
CHUNKS = b"b\r\ndata: one\n\n\r\nb\r\ndata: two\n\n\r\n0\r\n\r\n"
LENGTH = HEAD + b"Content-Length: 22\r\n\r\n" + EVENT


def head(*lines):
    return HEAD + b"".join(line + b"\r\n" for line in lines) + b"\r\n"


def status(line):
    return LENGTH.replace(b"HTTP/1.1 200 OK", line)


def sizes(first, last):
    """Chunks whose sizes are written in another way."""
    chunks = CHUNKS.replace(b"b\r\n", first + b"\r\n")
    return CHUNKED + chunks.replace(b"\n0\r\n", b"\n" + last + b"\r\n")


ODD = {
    "blanks-behind-sizes": sizes(b"b  ", b"0   "), "tab-behind-sizes": sizes(b"b\t", b"0\t"),
    "zeros-before-sizes": sizes(b"0000000b", b"00000"), "upper-case-sizes": sizes(b"B", b"0"),
    "extensions": sizes(b"b;a=b", b"0;c"), "quoted-extensions": sizes(b'b;a="x;y"', b'0;a=""'),
    "blanks-in-extensions": sizes(b"b ; a = b", b"0"),
    "trailers": CHUNKED + CHUNKS[:-2] + b"X-Sum: 1\r\n\r\n",
    "chunked-in-capitals": head(b"TRANSFER-ENCODING: CHUNKED") + CHUNKS,
    "length-before-chunked": head(b"Content-Length: 9", b"Transfer-Encoding: chunked") + CHUNKS,
    "length-behind-chunked": head(b"Transfer-Encoding: chunked", b"Content-Length: 3") + CHUNKS,
    "length-twice": head(b"Content-Length: 22", b"content-length: 22") + EVENT,
    "length-in-a-list": head(b"Content-Length: 22, 22") + EVENT,
    "length-with-blanks": head(b"Content-Length: \t 22 \t") + EVENT,
    "length-with-zeros": head(b"Content-Length: 00022") + EVENT,
    "length-folded": head(b"Content-Length:", b"  22") + EVENT,
    "folded": head(b"X-A: a", b" b", b"\tc", b"Content-Length: 22") + EVENT,
    "empty-and-folded": head(b"X-A:", b"  b", b"Content-Length: 22") + EVENT,
    "line-feeds": LENGTH.replace(b"\r\n", b"\n"),
    "a-line-feed": LENGTH.replace(b"OK\r\n", b"OK\n"),
    "a-line-feed-last": LENGTH.replace(b"\r\n\r\n", b"\r\n\n"),
    "no-blanks": LENGTH.replace(b": ", b":", 2), "until-the-end": head() + EVENT,
    "characters": head("X-A: wörds 🦀".encode(), b"Content-Length: 22") + EVENT,
    "no-reason": status(b"HTTP/1.1 200 "), "no-reason-no-blank": status(b"HTTP/1.1 200"),
    "two-blanks": status(b"HTTP/1.1  200  OK"),
    "a-long-reason": status(b"HTTP/1.1 200 " + b"a " * 99),
    "1.0": status(b"HTTP/1.0 200 OK"), "1.0-chunked": CHUNKED.replace(b"1.1", b"1.0") + CHUNKS,
    "1.0-until-the-end": head(b"Connection: keep-alive").replace(b"1.1", b"1.0") + EVENT,
    "continue": b"HTTP/1.1 100 Continue\r\n\r\n" * 2 + LENGTH,
    "hints": b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + LENGTH,
    "no-content": b"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n",
    "not-modified": b"HTTP/1.1 304 Not Modified\r\nContent-Length: 22\r\n\r\n",
    "connection-odd": head(b"Connection: , ,Keep-Alive,", b"Content-Length: 22") + EVENT,
    "connection-names-framing": head(b"Connection: content-length", b"Content-Length: 22") + EVENT,
    "upgrade-offered": head(b"Upgrade: h2c", b"Connection: Upgrade", b"Content-Length: 22") + EVENT,
    "length-not-reached": head(b"Content-Length: 23") + EVENT,
    "chunks-not-ended": CHUNKED + CHUNKS[:-5], "chunk-not-ended": CHUNKED + CHUNKS[:-12],
}


def serve(client):
    """Sends a response and closes: many of these have no other end."""
    with client:
        wire = b""
        while b"\r\n\r\n" not in wire:
            if not (data := client.recv(65536)):
                return
            wire += data
        client.sendall(ODD[wire.split(b" ", 2)[1].decode().rpartition("/")[2]])
        client.shutdown(socket.SHUT_WR)
        while client.recv(65536):
            pass


if __name__ == "__main__":
    listener = socket.create_server(("127.0.0.1", 0))
    print(listener.getsockname()[1], flush=True)
    while True:
        threading.Thread(target=serve, args=[listener.accept()[0]], daemon=True).start()
