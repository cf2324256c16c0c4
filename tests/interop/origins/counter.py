"""A source of numbers: counter.py PORT LIMIT. Each tenth of a second has its number, for all
readers and after restarts. GET /open returns how many streams are open and the most that were;
beyond LIMIT the response is a 503."""
import http.server, sys, threading, time

port, limit = map(int, sys.argv[1:])
lock = threading.Lock()
open_now = most = 0


def now():
    return int(time.time() * 10)


class Counter(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.0"

    def do_GET(self):
        global open_now, most
        if self.path == "/open":
            self.send_response(200)
            self.end_headers()
            return self.wfile.write(b"%d %d" % (open_now, most))
        with lock:
            open_now += 1
            allowed = open_now <= limit
            most = max(most, min(open_now, limit))
        try:
            self.send_response(200 if allowed else 503)
            self.send_header("Content-Type", "text/event-stream")
            self.end_headers()
            upcoming = int(self.headers.get("Last-Event-ID", now())) + 1
            while allowed:
                while upcoming <= now():
                    self.wfile.write(b"id: %d\ndata: %d\n\n" % (upcoming, upcoming))
                    upcoming += 1
                time.sleep(0.02)
        except ConnectionError:
            pass
        finally:
            with lock:
                open_now -= 1

    def log_message(self, *_):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Counter)
print("listening", flush=True)
server.serve_forever()
