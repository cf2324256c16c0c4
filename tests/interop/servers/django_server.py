"""Django on its development server."""
import socketserver
import django
from django.conf import settings
from django.core.handlers.wsgi import WSGIHandler
from django.core.servers.basehttp import WSGIRequestHandler, WSGIServer
from django.http import HttpResponse, StreamingHttpResponse
from django.urls import path
from django.views.decorators.http import condition
from streams import ETAG, STREAMS, paced


def stream(request, name):
    request.body
    fields, pieces = STREAMS[name]
    return StreamingHttpResponse(paced(pieces), headers=fields)


@condition(etag_func=lambda request: ETAG)
def cached(request):
    return HttpResponse("cached\n", content_type="text/plain")


def echo(request):
    return HttpResponse(request.body)


class Quiet(WSGIRequestHandler):
    def log_message(self, *_):
        pass


urlpatterns = [path("stream/<name>", stream), path("cached", cached), path("echo", echo)]
settings.configure(DEBUG=False, ALLOWED_HOSTS=["*"], ROOT_URLCONF=__name__, SECRET_KEY="none")
django.setup()


class Threads(socketserver.ThreadingMixIn, WSGIServer):
    daemon_threads = True


server = Threads(("127.0.0.1", 0), Quiet)
server.set_app(WSGIHandler())
print(server.server_port, flush=True)
server.serve_forever()
