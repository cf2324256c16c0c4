"""A client: sdk.py NAME URL. Prints the events that a Python library reads."""
import asyncio, sys, time

name, base = sys.argv[1:]


class Told:
    """What has arrived, in order, and whether it arrived piece by piece, but not exactly when."""

    def __init__(self, what):
        self.what, self.seen, self.times = what, [], []

    def add(self, text):
        self.seen.append(text)
        self.times.append(time.monotonic())

    def say(self, *more):
        spread = self.times[-1] - self.times[0] if self.times else 0
        print(self.what, self.seen, "as they come" if spread > 0.15 else "at once", *more)


def failing(what, ask):
    try:
        print(what, ask())
    except Exception as error:
        print(what, type(error).__name__, getattr(error, "status_code", ""))


def openai(models=("whole", "cut", "none")):
    import openai

    client = openai.OpenAI(base_url=base + "/v1", api_key="key", max_retries=0)

    def ask(model):
        told = Told(model)
        hello = [{"role": "user", "content": "hello"}]
        try:
            for chunk in client.chat.completions.create(model=model, messages=hello, stream=True):
                told.add(chunk.choices[0].delta.content or chunk.choices[0].finish_reason)
        finally:
            told.say()

    for model in models:
        failing(model, lambda: ask(model))


def anthropic(models=("whole", "cut", "none")):
    import anthropic

    client = anthropic.Anthropic(base_url=base, api_key="key", max_retries=0)

    def ask(model):
        told = Told(model)
        hello = [{"role": "user", "content": "hello"}]
        try:
            with client.messages.stream(model=model, max_tokens=99, messages=hello) as stream:
                for text in stream.text_stream:
                    told.add(text)
                return stream.get_final_message().stop_reason
        finally:
            told.say()

    for model in models:
        failing(model, lambda: ask(model))


def httpx_sse(path="/events/6"):
    import httpx, httpx_sse

    told = Told("httpx-sse")
    with httpx.Client() as client:
        fields = {"Last-Event-ID": "41"}
        with httpx_sse.connect_sse(client, "GET", base + path, headers=fields) as source:
            for event in source.iter_sse():
                # After an id this library turns a comment and an empty line into an event. How many
                # of them an origin sends by itself depends on time; a proxy must send none.
                if event.data or "quiet" in path:
                    told.add((event.event, event.id, event.data))
    told.say()


async def aiohttp_sse_client(path="/events/6", count=6):
    from aiohttp_sse_client.client import EventSource

    told = Told("aiohttp-sse-client")
    async with EventSource(base + path, headers={"Last-Event-ID": "41"}) as source:
        async for event in source:
            told.add((event.type, event.last_event_id, event.data))
            if len(told.seen) == count:
                break
    told.say()


async def mcp(transport, **options):
    from mcp import Client

    async with Client(transport, **options) as client:
        print([tool.name for tool in (await client.list_tools()).tools])
        for _ in range(2):
            told = Told("progress")

            async def progress(done, total, message):
                told.add((done, total, message))

            result = await client.call_tool("count", {"to": 8}, progress_callback=progress)
            told.say(result.content[0].text)
        many = [client.call_tool("large", {"size": size}) for size in (0, 1000, 300_000)]
        for result in await asyncio.gather(*many):
            print("large", len(result.content[0].text))


async def mcp_early(transport, **options):
    from mcp import Client

    told = Told("early")

    async def progress(done, total, message):
        told.add((done, total, message))

    async with Client(transport, **options) as client:
        try:
            asking = client.call_tool("early", {}, progress_callback=progress)
            print(await asyncio.wait_for(asking, 30))
        except Exception as error:
            print(type(error).__name__, error)
        told.say()


def mcp_sse():
    from mcp.client.sse import sse_client

    return mcp(sse_client(base + "/sse"), mode="legacy")


CLIENTS = {
    "openai": openai, "anthropic": anthropic,
    "early openai": lambda: openai(["early"]),
    "early anthropic": lambda: anthropic(["early"]), "httpx-sse": httpx_sse,
    "quiet httpx-sse": lambda: httpx_sse("/quiet/3"),
    "aiohttp-sse-client": aiohttp_sse_client,
    "quiet aiohttp-sse-client": lambda: aiohttp_sse_client("/quiet/3", 3), "mcp sse": mcp_sse,
    "mcp http": lambda: mcp(base + "/mcp"),
    "early mcp http": lambda: mcp_early(base + "/mcp"),
    "early mcp http, sessions": lambda: mcp_early(base + "/mcp", mode="legacy"),
    "mcp http, sessions": lambda: mcp(base + "/mcp", mode="legacy"),
}
if asyncio.iscoroutine(running := CLIENTS[name]()):
    asyncio.run(running)
