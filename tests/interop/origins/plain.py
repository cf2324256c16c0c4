"""An origin of the standard library: plain.py [HTTP/1.0]."""
import hashlib, http.server, sys, time


class Origin(http.server.BaseHTTPRequestHandler):
    protocol_version = sys.argv[1] if len(sys.argv) > 1 else "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *_):
        pass

    def head(self, status, length, **fields):
        self.send_response(status)
        for name, value in fields.items():
            self.send_header(name.replace("_", "-"), value)
        if length is not None:
            self.send_header("Content-Length", str(length))
        elif self.protocol_version == "HTTP/1.1":
            self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()

    def piece(self, data):
        chunked = self.protocol_version == "HTTP/1.1"
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data) if chunked else data)

    def end(self):
        if self.protocol_version == "HTTP/1.1":
            self.wfile.write(b"0\r\n\r\n")

    def body(self):
        left = int(self.headers.get("Content-Length", 0))
        while left > 0 and (data := self.rfile.read1(min(left, 65536))):
            left -= len(data)
            yield data
        if self.headers.get("Transfer-Encoding") == "chunked":
            while size := int(self.rfile.readline(), 16):
                yield self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()

    def whole(self, status, data, **fields):
        self.head(status, len(data), **fields)
        if self.command != "HEAD":
            self.wfile.write(data)

    def do_GET(self):
        name, _, count = self.path.lstrip("/").partition("/")
        if name == "hello":
            self.whole(200, b"hello\n", Content_Type="text/plain", X_Many="a", x_many="b")
        elif name == "moved":
            self.whole(302, b"", Location="/hello")
        elif name == "empty":
            self.send_response(204)
            self.end_headers()
        elif name == "bytes":
            self.head(200, int(count))
            block = bytes(range(256)) * 256
            for at in range(0, int(count), len(block)):
                self.wfile.write(block[: int(count) - at])
        elif name == "chunks":
            self.head(200, None, Content_Type="text/plain")
            for n in range(int(count)):
                self.piece(b"chunk %d\n" % n)
            self.end()
        elif name == "events":
            first = int(self.headers.get("Last-Event-ID", -1)) + 1
            self.head(200, None, Content_Type="text/event-stream")
            for n in range(first, first + int(count)):
                self.piece(b"id: %d\ndata: event %d\n\n" % (n, n))
                time.sleep(0.05)
            self.end()
        else:
            self.whole(404, b"no such thing\n")

    do_HEAD = do_GET

    def do_POST(self):
        if self.path == "/digest":
            digest = hashlib.sha256()
            for data in self.body():
                digest.update(data)
            self.whole(200, digest.hexdigest().encode())
        else:
            self.head(200, None)
            for data in self.body():
                self.piece(data)
            self.end()

    do_PUT = do_POST


class Server(http.server.ThreadingHTTPServer):
    request_queue_size = 500


server = Server(("127.0.0.1", 0), Origin)
print(server.server_port, flush=True)
server.serve_forever()
