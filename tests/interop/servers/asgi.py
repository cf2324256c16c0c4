"""A Starlette application: asgi.py h11|httptools|hypercorn|daphne, the first two in uvicorn."""
import asyncio, socket, sys
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route
from streams import ETAG, PAUSE, STREAMS


async def stream(request):
    await request.body()
    fields, pieces = STREAMS[request.path_params["name"]]

    async def paced():
        for piece in pieces:
            yield piece
            await asyncio.sleep(PAUSE)

    return StreamingResponse(paced(), headers=fields)


async def cached(request):
    fields = {"ETag": ETAG}
    if request.headers.get("If-None-Match") == ETAG:
        return Response(status_code=304, headers=fields)
    return PlainTextResponse("cached\n", headers=fields)


async def echo(request):
    return Response(await request.body())


app = Starlette(routes=[
    Route("/stream/{name}", stream, methods=["GET", "POST"]), Route("/cached", cached),
    Route("/echo", echo, methods=["POST"]),
])
listener = socket.create_server(("127.0.0.1", 0))
server = sys.argv[1]


def say():
    print(listener.getsockname()[1], flush=True)


if server == "hypercorn":
    from hypercorn.asyncio import serve
    from hypercorn.config import Config

    config = Config()
    config.bind = [f"fd://{listener.fileno()}"]
    say()
    asyncio.run(serve(app, config))
elif server == "daphne":
    from daphne.server import Server

    listener.setblocking(False)
    endpoint = f"fd:fileno={listener.fileno()}"
    say()
    Server(app, endpoints=[endpoint], signal_handlers=False).run()
else:
    import uvicorn

    say()
    config = uvicorn.Config(app, http=server, log_level="error")
    uvicorn.Server(config).run(sockets=[listener])
