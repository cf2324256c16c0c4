"""An origin of aiohttp."""
import asyncio, hashlib, socket
from aiohttp import web

BLOCK = bytes(range(256)) * 256


async def hello(request):
    return web.Response(text="hello\n")


async def moved(request):
    return web.Response(status=302, headers={"Location": "/hello"})


async def empty(request):
    return web.Response(status=204)


async def stream(request, pieces, length=None, kind="text/plain"):
    response = web.StreamResponse(headers={"Content-Type": kind})
    response.content_length = length
    await response.prepare(request)
    async for piece in pieces:
        await response.write(piece)
    await response.write_eof()
    return response


async def some_bytes(request):
    count = int(request.match_info["n"])

    async def pieces():
        for at in range(0, count, len(BLOCK)):
            yield BLOCK[: count - at]

    return await stream(request, pieces(), count)


async def chunks(request):
    async def pieces():
        for n in range(int(request.match_info["n"])):
            yield b"chunk %d\n" % n

    return await stream(request, pieces())


async def events(request):
    first = int(request.headers.get("Last-Event-ID", -1)) + 1

    async def pieces():
        for n in range(first, first + int(request.match_info["n"])):
            yield b"id: %d\ndata: event %d\n\n" % (n, n)
            await asyncio.sleep(0.05)

    return await stream(request, pieces(), kind="text/event-stream")


async def digest(request):
    digest = hashlib.sha256()
    async for data in request.content.iter_any():
        digest.update(data)
    return web.Response(text=digest.hexdigest())


async def echo(request):
    return await stream(request, request.content.iter_any())


app = web.Application()
for path, handler in [("/hello", hello), ("/moved", moved), ("/empty", empty),
                      ("/bytes/{n}", some_bytes), ("/chunks/{n}", chunks), ("/events/{n}", events)]:
    app.router.add_get(path, handler)
for path, handler in [("/digest", digest), ("/echo", echo)]:
    app.router.add_post(path, handler)
    app.router.add_put(path, handler)
listener = socket.create_server(("127.0.0.1", 0))
print(listener.getsockname()[1], flush=True)
web.run_app(app, sock=listener, print=None, access_log=None)
