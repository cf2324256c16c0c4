"""An origin that streams tokens like the APIs of OpenAI and Anthropic, in pieces split anywhere.

The model "early" stops after a few events. Asked directly, it sends its arguments, if any, as a
last event, and closes; through a proxy it stays silent, and the proxy must end the answer.
"""
import http.server, json, sys, time

LAST = "\n".join([*sys.argv[1:], "", ""]).encode() if sys.argv[1:] else b""

WORDS = ["Once", " upon", " a", " time", ", wörds", " came 🦀", " one", " by", " one", "."]


def chat(model):
    def chunk(delta, finish=None):
        choice = {"index": 0, "delta": delta, "finish_reason": finish}
        return {"id": "chat-1", "object": "chat.completion.chunk", "created": 1, "model": model,
                "choices": [choice]}
    yield None, chunk({"role": "assistant", "content": ""})
    for word in WORDS:
        yield None, chunk({"content": word})
    yield None, chunk({}, "stop")
    yield None, "[DONE]"


def messages(model):
    usage = {"input_tokens": 3, "output_tokens": len(WORDS)}
    yield "message_start", {"message": {
        "id": "msg-1", "type": "message", "role": "assistant", "model": model, "content": [],
        "stop_reason": None, "stop_sequence": None, "usage": usage}}
    yield "content_block_start", {"index": 0, "content_block": {"type": "text", "text": ""}}
    yield "ping", {}
    for word in WORDS:
        yield "content_block_delta", {"index": 0, "delta": {"type": "text_delta", "text": word}}
    yield "content_block_stop", {"index": 0}
    yield "message_delta", {"delta": {"stop_reason": "end_turn", "stop_sequence": None},
                            "usage": usage}
    yield "message_stop", {}


def written(events):
    for name, event in events:
        if name:
            event = {"type": name} | event
        data = event if isinstance(event, str) else json.dumps(event, ensure_ascii=False)
        yield ((f"event: {name}\n" if name else "") + f"data: {data}\n\n").encode()


class Origin(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *_):
        pass

    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        events = chat if self.path == "/v1/chat/completions" else messages
        if asked["model"] == "none":
            return self.refuse()
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream; charset=utf-8")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for number, event in enumerate(written(events(asked["model"]))):
            if asked["model"] == "early" and number == 5:
                return self.stop()
            if asked["model"] == "cut" and number == 5:
                self.close_connection = True
                return self.piece(event[: len(event) // 2])
            for at in range(0, len(event), 50):
                self.piece(event[at : at + 50])
            time.sleep(0.05)
        self.wfile.write(b"0\r\n\r\n")

    def piece(self, data):
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))

    def stop(self):
        self.close_connection = True
        if "Via" in self.headers:
            self.connection.recv(1)
        elif LAST:
            self.piece(LAST)

    def refuse(self):
        body = json.dumps({"type": "error", "error": {
            "type": "rate_limit_error", "message": "too many", "code": None}}).encode()
        self.send_response(429)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Origin)
print(server.server_port, flush=True)
server.serve_forever()
