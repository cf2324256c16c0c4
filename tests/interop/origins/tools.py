"""An MCP server: Streamable HTTP at /mcp, the older transport at /sse; a tool reports progress.

The tool "early" reports a little, and then nothing. Asked directly, its response is cut.
"""
import asyncio, contextlib, socket
import uvicorn
from mcp.server.mcpserver import Context, MCPServer
from starlette.applications import Starlette

server = MCPServer("tools")


@server.tool()
async def count(to: int, context: Context) -> str:
    """Count, and say at each step how far."""
    for n in range(to):
        await context.report_progress(n + 1, to, f"step {n + 1}")
        await asyncio.sleep(0.05)
    return f"counted to {to}"


@server.tool()
async def large(size: int) -> str:
    """An answer of this many characters."""
    return "x" * size


@server.tool()
async def early(context: Context) -> str:
    """Never come to an end."""
    for n in range(3):
        await context.report_progress(n + 1, 9, f"step {n + 1}")
        await asyncio.sleep(0.05)
    await asyncio.sleep(3600)
    return "late"


http = server.streamable_http_app()
sse = server.sse_app()


@contextlib.asynccontextmanager
async def lifespan(app):
    async with http.router.lifespan_context(http):
        yield


tools = Starlette(routes=[*http.routes, *sse.routes], lifespan=lifespan)


async def app(scope, receive, send):
    """Cuts "early" between two events, unless a proxy in between must end it."""
    proxied = any(name == b"via" for name, _ in scope.get("headers", []))
    asked = []

    async def listen():
        message = await receive()
        asked.append(message.get("body", b""))
        return message

    async def answer():
        while b'"early"' not in b"".join(asked) or proxied:
            await asyncio.sleep(0.1)
        await asyncio.sleep(0.5)

    prefix = dict(scope.get("headers", ())).get(b"x-forwarded-prefix", b"").decode()
    serving = asyncio.ensure_future(tools(scope | {"root_path": prefix}, listen, send))
    breaking = asyncio.ensure_future(answer())
    try:
        await asyncio.wait([serving, breaking], return_when=asyncio.FIRST_COMPLETED)
        if not serving.done():
            raise ConnectionError("it breaks off")
        await serving
    finally:
        breaking.cancel()
        serving.cancel()


listener = socket.create_server(("127.0.0.1", 0))
print(listener.getsockname()[1], flush=True)
config = uvicorn.Config(app, log_level="critical", timeout_graceful_shutdown=1)
uvicorn.Server(config).run(sockets=[listener])
