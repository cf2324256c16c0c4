"""An ordinary event server: three events for each GET, an echo for each POST.

Its argument is the version of HTTP to use. It prints its URL. If a client accepts it, each event is
compressed and flushed at once.
"""

import http.server
import sys
import zlib


class Events(http.server.BaseHTTPRequestHandler):
    protocol_version = sys.argv[1]
    chunked = protocol_version == "HTTP/1.1"

    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        if self.chunked:
            self.send_header("Transfer-Encoding", "chunked")
        coder = None
        if "gzip" in self.headers.get("Accept-Encoding", ""):
            self.send_header("Content-Encoding", "gzip")
            self.send_header("Vary", "Accept-Encoding")
            coder = zlib.compressobj(wbits=31)
        self.end_headers()
        for n in range(3):
            event = b"id: %d\ndata: hello\n\n" % n
            self.write(coder.compress(event) + coder.flush(zlib.Z_SYNC_FLUSH) if coder else event)
        if coder:
            self.write(coder.flush())
        if self.chunked:
            self.wfile.write(b"0\r\n\r\n")

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def write(self, event):
        if self.chunked:
            event = b"%x\r\n%s\r\n" % (len(event), event)
        self.wfile.write(event)
        self.wfile.flush()


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Events)
print(f"serving http://127.0.0.1:{server.server_port}", flush=True)
server.serve_forever()
