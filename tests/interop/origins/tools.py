"""An MCP server: Streamable HTTP at /mcp, the older transport at /sse; a tool reports progress."""
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


http = server.streamable_http_app()
sse = server.sse_app()


@contextlib.asynccontextmanager
async def lifespan(app):
    async with http.router.lifespan_context(http):
        yield


app = Starlette(routes=[*http.routes, *sse.routes], lifespan=lifespan)
listener = socket.create_server(("127.0.0.1", 0))
print(listener.getsockname()[1], flush=True)
config = uvicorn.Config(app, log_level="error", timeout_graceful_shutdown=1)
uvicorn.Server(config).run(sockets=[listener])
