"""A client: readers.py httpx-sse|openai|anthropic URL. Prints the events that a library reads."""
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "servers"))
import httpx
from streams import READ_ALIKE

name, base = sys.argv[1:]


def decoder():
    if name == "httpx-sse":
        from httpx_sse import EventSource
        return lambda response: EventSource(response).iter_sse()
    if name == "openai":
        from openai._streaming import SSEDecoder
    else:
        from anthropic._streaming import SSEDecoder
    return lambda response: SSEDecoder().iter_bytes(response.iter_bytes())


def read(client, stream):
    seen = []
    with client.stream("GET", f"{base}/stream/{stream}") as response:
        try:
            for event in decode(response):
                seen.append((event.event, event.id, event.data, event.retry))
        except ValueError as error:  # not UTF-8
            seen.append(type(error).__name__)
    return seen


decode = decoder()
with httpx.Client() as client:
    for stream in READ_ALIKE:
        print(stream, read(client, stream))
