"""An origin for a browser: a page whose EventSource reports what it received to /report."""
import http.server, sys, time

PAGE = b"""<!doctype html><title>events</title><script>
const seen = [];
const source = new EventSource('/events');
source.onmessage = (event) => {
  seen.push(event.lastEventId + ':' + event.data);
  if (seen.length === 6) fetch('/report', {method: 'POST', body: seen.join(' ')});
};
</script>"""


class Origin(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_GET(self):
        if self.path != "/events":
            known = self.path == "/"
            self.send_response(200 if known else 404)
            self.send_header("Content-Type", "text/html")
            self.send_header("Content-Length", str(len(PAGE) if known else 0))
            self.end_headers()
            self.wfile.write(PAGE if known else b"")
            return
        self.close_connection = True
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        first = int(self.headers.get("Last-Event-ID", -1)) + 1
        # The first stream ends after three events, the second stays silent after three more.
        self.wfile.write(b"retry: 100\n\n")
        for n in range(first, first + 3):
            self.wfile.write(b"id: %d\ndata: event-%d\n\n" % (n, n))
        if first:
            self.connection.settimeout(60)
            print("gone" if self.rfile.read(1) == b"" else "odd", flush=True)

    def do_POST(self):
        print("report", self.rfile.read(int(self.headers["Content-Length"])).decode(), flush=True)
        self.send_response(204)
        self.end_headers()


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Origin)
print(server.server_port, flush=True)
server.serve_forever()
