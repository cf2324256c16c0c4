"""An origin of Starlette on uvicorn."""
import asyncio, hashlib, socket
import uvicorn
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Route

BLOCK = bytes(range(256)) * 256


async def hello(request):
    return PlainTextResponse("hello\n")


async def moved(request):
    return RedirectResponse("/hello", 302)


async def empty(request):
    return Response(status_code=204)


async def some_bytes(request):
    count = request.path_params["n"]
    pieces = (BLOCK[: count - at] for at in range(0, count, len(BLOCK)))
    return StreamingResponse(pieces, headers={"Content-Length": str(count)})


async def chunks(request):
    pieces = (b"chunk %d\n" % n for n in range(request.path_params["n"]))
    return StreamingResponse(pieces, media_type="text/plain")


async def events(request):
    first = int(request.headers.get("Last-Event-ID", -1)) + 1

    async def pieces():
        for n in range(first, first + request.path_params["n"]):
            yield b"id: %d\ndata: event %d\n\n" % (n, n)
            await asyncio.sleep(0.05)

    return StreamingResponse(pieces(), media_type="text/event-stream")


async def digest(request):
    digest = hashlib.sha256()
    async for data in request.stream():
        digest.update(data)
    return PlainTextResponse(digest.hexdigest())


class Echo:
    """Bare ASGI: a StreamingResponse would read the request itself, to detect a disconnect."""

    async def __call__(self, scope, receive, send):
        await send({"type": "http.response.start", "status": 200})
        more = True
        while more:
            message = await receive()
            more = message.get("more_body", False)
            body = message.get("body", b"")
            await send({"type": "http.response.body", "body": body, "more_body": more})


app = Starlette(routes=[
    Route("/hello", hello), Route("/moved", moved), Route("/empty", empty),
    Route("/bytes/{n:int}", some_bytes), Route("/chunks/{n:int}", chunks),
    Route("/events/{n:int}", events),
    Route("/digest", digest, methods=["POST", "PUT"]), Route("/echo", Echo()),
])
listener = socket.create_server(("127.0.0.1", 0))
print(listener.getsockname()[1], flush=True)
uvicorn.Server(uvicorn.Config(app, log_level="error")).run(sockets=[listener])
