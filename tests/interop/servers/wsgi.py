"""A Flask application: wsgi.py werkzeug|gunicorn|gevent|waitress."""
import logging, socket, sys
from flask import Flask, Response, request
from streams import ETAG, STREAMS, paced

app = Flask(__name__)


@app.route("/stream/<name>", methods=["GET", "POST"])
def stream(name):
    request.get_data()
    fields, pieces = STREAMS[name]
    return Response(paced(pieces), headers=fields)


@app.get("/cached")
def cached():
    response = Response("cached\n", content_type="text/plain")
    response.set_etag(ETAG.strip('"'))
    return response.make_conditional(request)


@app.post("/echo")
def echo():
    return request.get_data()


def gunicorn(listener):
    from gunicorn.app.base import BaseApplication

    class Application(BaseApplication):
        def load_config(self):
            self.cfg.set("bind", f"fd://{listener.fileno()}")
            self.cfg.set("worker_class", "gthread")
            self.cfg.set("threads", 8)

        def load(self):
            return app

    Application().run()


def gevent(listener):
    from gevent import monkey
    monkey.patch_all()
    from gevent import socket
    from gevent.pywsgi import WSGIServer

    listener = socket.socket(fileno=listener.detach())
    WSGIServer(listener, app, log=None, error_log=None).serve_forever()


def waitress(listener):
    import waitress
    waitress.serve(app, sockets=[listener], threads=8, _quiet=True)


def werkzeug(listener):
    from werkzeug.serving import make_server
    logging.getLogger("werkzeug").disabled = True
    make_server("127.0.0.1", 0, app, threaded=True, fd=listener.fileno()).serve_forever()


listener = socket.create_server(("127.0.0.1", 0))
print(listener.getsockname()[1], flush=True)
{"gunicorn": gunicorn, "gevent": gevent, "waitress": waitress, "werkzeug": werkzeug}[sys.argv[1]](
    listener)
