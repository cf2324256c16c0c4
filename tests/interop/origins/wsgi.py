"""An origin of Flask on its own server."""
import hashlib, logging, time
from flask import Flask, Response, redirect, request
from werkzeug.serving import make_server

app = Flask(__name__)
BLOCK = bytes(range(256)) * 256


@app.get("/hello")
def hello():
    return Response("hello\n", content_type="text/plain")


@app.get("/moved")
def moved():
    return Response(status=302, headers={"Location": "/hello"})


@app.get("/empty")
def empty():
    return "", 204


@app.get("/bytes/<int:count>")
def some_bytes(count):
    pieces = (BLOCK[: count - at] for at in range(0, count, len(BLOCK)))
    return Response(pieces, headers={"Content-Length": str(count)})


@app.get("/chunks/<int:count>")
def chunks(count):
    return Response((b"chunk %d\n" % n for n in range(count)), content_type="text/plain")


@app.get("/events/<int:count>")
def events(count):
    first = int(request.headers.get("Last-Event-ID", -1)) + 1

    def pieces():
        for n in range(first, first + count):
            yield b"id: %d\ndata: event %d\n\n" % (n, n)
            time.sleep(0.05)

    return Response(pieces(), content_type="text/event-stream")


def body():
    while data := request.stream.read(65536):
        yield data


@app.route("/digest", methods=["POST", "PUT"])
def digest():
    digest = hashlib.sha256()
    for data in body():
        digest.update(data)
    return digest.hexdigest()


@app.route("/echo", methods=["POST", "PUT"])
def echo():
    return Response(b"".join(body()))


logging.getLogger("werkzeug").disabled = True
server = make_server("127.0.0.1", 0, app, threaded=True)
print(server.server_port, flush=True)
server.serve_forever()
