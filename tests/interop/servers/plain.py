"""The standard library's server: plain.py 1.0|1.0-chunked|1.1|both.

It is common to set Transfer-Encoding and leave the protocol at its default of HTTP/1.0, or to add a
Content-Length. Each of these has only one valid reading.
"""
import http.server, sys
from streams import ETAG, STREAMS, paced

HOW = sys.argv[1]
CHUNKED = HOW != "1.0"


class Server(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.0" if HOW.startswith("1.0") else "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *_):
        pass

    def head(self, status, **fields):
        self.send_response(status)
        for name, value in fields.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()

    def do_GET(self):
        if self.path == "/cached":
            if self.headers["If-None-Match"] == ETAG:
                return self.head(304, ETag=ETAG)
            self.head(200, ETag=ETAG, Content_Type="text/plain", Content_Length=7)
            return self.wfile.write(b"cached\n" if self.command == "GET" else b"")
        if (name := self.path.removeprefix("/stream/")) not in STREAMS:
            return self.head(404, Content_Length=0)
        fields, pieces = STREAMS[name]
        if HOW == "both":
            fields = fields | {"Content-Length": str(sum(map(len, pieces)))}
        self.head(200, **fields, **({"Transfer-Encoding": "chunked"} if CHUNKED else {}))
        if self.command != "HEAD":
            for piece in paced(pieces):
                self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece) if CHUNKED else piece)
            self.wfile.write(b"0\r\n\r\n" if CHUNKED else b"")

    do_HEAD = do_GET

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.path != "/echo":
            return self.do_GET()
        self.head(200, Content_Length=len(body))
        self.wfile.write(body)


class Threads(http.server.ThreadingHTTPServer):
    request_queue_size = 100


server = Threads(("127.0.0.1", 0), Server)
print(server.server_port, flush=True)
server.serve_forever()
