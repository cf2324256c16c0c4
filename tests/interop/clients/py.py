"""A client: py.py requests|httpx URL. Prints what it receives, to compare two runs."""
import hashlib, sys, time

library, base = sys.argv[1:]
HOP = {"connection", "keep-alive", "transfer-encoding", "date", "via", "server"}


def show(what, status, fields, data):
    kept = sorted((n.lower(), v) for n, v in fields if n.lower() not in HOP)
    print(what, status, kept, len(data), hashlib.sha256(data).hexdigest()[:16])


def pieces():
    for n in range(50):
        yield b"piece %d " % n * 100


def events(lines):
    seen, start = [], time.monotonic()
    for line in lines:
        line = line.decode() if isinstance(line, bytes) else line
        if line.startswith("data:"):
            seen.append((line, time.monotonic() - start))
    spread = seen[-1][1] - seen[0][1] if seen else 0
    print("events", [line for line, _ in seen], "as they come" if spread > 0.3 else "at once")


if library == "requests":
    import requests

    with requests.Session() as session:
        for path in ["/hello", "/moved", "/empty", "/bytes/1000000", "/chunks/200", "/nothing"]:
            r = session.get(base + path)
            show(path, r.status_code, r.headers.items(), r.content)
        r = session.head(base + "/hello")
        show("HEAD", r.status_code, r.headers.items(), r.content)
        r = session.post(base + "/digest", data=b"x" * 300000)
        show("POST", r.status_code, r.headers.items(), r.content)
        r = session.put(base + "/digest", data=pieces())
        show("PUT chunked", r.status_code, r.headers.items(), r.content)
        r = session.post(base + "/echo", data=b"y" * 300000)
        show("echo", r.status_code, r.headers.items(), r.content)
        r = session.get(base + "/events/8", stream=True, headers={"Last-Event-ID": "41"})
        events(r.iter_lines(chunk_size=1))
else:
    import httpx

    with httpx.Client() as session:
        for path in ["/hello", "/moved", "/empty", "/bytes/1000000", "/chunks/200", "/nothing"]:
            r = session.get(base + path)
            show(path, r.status_code, r.headers.multi_items(), r.content)
        r = session.head(base + "/hello")
        show("HEAD", r.status_code, r.headers.multi_items(), r.content)
        r = session.post(base + "/digest", content=b"x" * 300000)
        show("POST", r.status_code, r.headers.multi_items(), r.content)
        r = session.put(base + "/digest", content=pieces())
        show("PUT chunked", r.status_code, r.headers.multi_items(), r.content)
        r = session.post(base + "/echo", content=b"y" * 300000)
        show("echo", r.status_code, r.headers.multi_items(), r.content)
        with session.stream("GET", base + "/events/8", headers={"Last-Event-ID": "41"}) as r:
            events(r.iter_lines())
