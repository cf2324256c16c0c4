"""aiohttp's server."""
import asyncio, socket
from aiohttp import web
from streams import ETAG, PAUSE, STREAMS


async def stream(request):
    await request.read()
    fields, pieces = STREAMS[request.match_info["name"]]
    response = web.StreamResponse(headers=fields)
    await response.prepare(request)
    for piece in pieces:
        await response.write(piece)
        await asyncio.sleep(PAUSE)
    await response.write_eof()
    return response


async def cached(request):
    if request.headers.get("If-None-Match") == ETAG:
        return web.Response(status=304, headers={"ETag": ETAG})
    return web.Response(text="cached\n", headers={"ETag": ETAG})


async def echo(request):
    return web.Response(body=await request.read())


app = web.Application()
app.router.add_route("*", "/stream/{name}", stream)
app.router.add_get("/cached", cached)
app.router.add_post("/echo", echo)
listener = socket.create_server(("127.0.0.1", 0))
print(listener.getsockname()[1], flush=True)
web.run_app(app, sock=listener, print=None, access_log=None)
