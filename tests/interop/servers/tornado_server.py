"""Tornado's server."""
import asyncio, logging
from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.web import Application, RequestHandler
from streams import PAUSE, STREAMS


class Stream(RequestHandler):
    async def get(self, name):
        fields, pieces = STREAMS[name]
        for field, value in fields.items():
            self.set_header(field, value)
        for piece in pieces:
            self.write(piece)
            await self.flush()
            await asyncio.sleep(PAUSE)

    head = post = get


class Cached(RequestHandler):
    def get(self):
        self.set_header("Content-Type", "text/plain")
        self.write("cached\n")

    head = get

    def compute_etag(self):
        return '"one"'


class Echo(RequestHandler):
    def post(self):
        self.write(self.request.body)


async def main():
    logging.getLogger("tornado.access").disabled = True
    app = Application([("/stream/(.*)", Stream), ("/cached", Cached), ("/echo", Echo)])
    sockets = bind_sockets(0, "127.0.0.1")
    HTTPServer(app).add_sockets(sockets)
    print(sockets[0].getsockname()[1], flush=True)
    await asyncio.Event().wait()


asyncio.run(main())
