"""An origin with sse-starlette: /events with pings in between, /quiet with pauses and no pings."""
import asyncio, socket
import uvicorn
from sse_starlette import EventSourceResponse
from starlette.applications import Starlette
from starlette.routing import Route


def numbered(pause, ping):
    async def events(request):
        first = int(request.headers.get("Last-Event-ID", -1)) + 1

        async def some():
            for n in range(first, first + request.path_params["n"]):
                yield {"id": str(n), "event": "message", "data": f"event {n}\nof several lines"}
                await asyncio.sleep(pause)

        return EventSourceResponse(some(), ping=ping)

    return events


app = Starlette(routes=[
    Route("/events/{n:int}", numbered(0.3, 0.2)), Route("/quiet/{n:int}", numbered(2.5, 60)),
])
listener = socket.create_server(("127.0.0.1", 0))
print(listener.getsockname()[1], flush=True)
uvicorn.Server(uvicorn.Config(app, log_level="error")).run(sockets=[listener])
