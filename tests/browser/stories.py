"""What the proxy promises browsers when upstreams stop and start, and when it ends itself."""
import contextlib, re

from chrome import chrome
from millstream import Refused, millstream
from spy import Spy
from stage import HEAD, Desk, stage
from waiting import within

CONNECTING, CLOSED = 0, 2


class Wrong(Exception):
    """A broken promise."""


def must(condition, what, page=None):
    if not condition:
        raise Wrong(what + (f"; the page saw {page.story() or 'nothing'}" if page else ""))


class World:
    """What each story needs: a browser, an event server, a page."""

    def __init__(self, browser, desk, server):
        self.browser, self.desk, self.server = browser, desk, server

    @contextlib.contextmanager
    def proxied(self, *settings, **more):
        apis = ("/page", self.desk.url), ("/events", self.server.url, *settings)
        with millstream(*apis, **more) as proxy:
            yield proxy

    def page(self, proxy):
        origin = proxy.origin("page.test")
        return self.desk.page(self.browser, origin, [origin])

    def asked(self, page, after=0, source=0):
        stream = self.server.asked(page.target(source), after=after)
        must(stream, f"request {after + 1} never reaches the event server", page)
        return stream


def reads(page, expected, source=0, seconds=30):
    """The page gets exactly these messages, each once and in order."""
    within(seconds, lambda: len(page.data(source)) >= len(expected))
    must(page.data(source) == expected, f"{page.data(source)} instead of {expected}", page)


# --- Upstreams that are not there -----------------------------------------------------------


def outage_error(world):
    world.server.down()
    with world.proxied('on_outage = "error"') as proxy, world.page(proxy) as page:
        must(within(30, lambda: page.saw("error")), "no error", page)
        world.server.up()
        with world.page(proxy) as other:
            world.asked(other).begin().send("data: it is up\n\n")
            reads(other, ["it is up"])
        must([e["state"] for e in page.saw("error")] == [CLOSED], "not closed", page)
        must(not world.server.asked(page.target(0), seconds=0), "it came back", page)


def outage_retry(world):
    world.server.down()
    soon = ['retry_min = "100ms"', 'retry_max = "500ms"']
    with world.proxied('on_outage = "retry"', drain=soon) as proxy, world.page(proxy) as page:
        must(within(40, lambda: len(page.saw("error")) > 1), "no second try", page)
        world.server.up()
        world.asked(page).begin().send("id: 1\ndata: back\n\n")
        reads(page, ["back"])
        must(not any(e["state"] == CLOSED for e in page.log), "closed for good", page)


def outage_hold(world):
    world.server.down()
    held = 'on_outage = "hold"', 'heartbeat = "1s"'
    with world.proxied(*held) as proxy, world.page(proxy) as page:
        must(within(30, lambda: page.saw("open")), "not opened", page)
        spy = Spy(proxy.port, "/events/spy")
        must(spy.sees_comments(2), f"no heartbeats: {spy.raw}")
        world.server.up()
        world.asked(page).begin().send("id: 1\ndata: back\n\n")
        reads(page, ["back"])
        must(not page.saw("error") and len(page.saw("open")) == 1, "not one stream", page)
        spy.close()


def held_for_another_origin(world, credentials, then, reads_it):
    """The page's origin differs from the proxy's: it may read only what the server allows. Both use
    http or both use https; otherwise the page would be cross-site and send no cookies."""
    with world.proxied('on_outage = "hold"') as proxy, millstream(("/", world.desk.url)) as another:
        def page():
            return world.desk.page(world.browser, origin, [proxy.origin("page.test")], credentials)
        origin = another.origin("page.test")
        with page() as first:
            stream = world.asked(first)
            must(stream.fields.get("origin") == origin, f"not of another origin: {stream.fields}")
            must(("cookie" in stream.fields) == credentials, f"cookies: {stream.fields}")
            stream.begin(granting(origin, credentials)).send("data: 1\n\n")
            reads(first, ["1"])
        world.server.down()
        with page() as held:
            must(within(30, lambda: held.saw("open")), "not opened", held)
            world.server.up()
            stream = world.asked(held).begin(then(origin)).send("data: 2\n\n")
            if reads_it:
                reads(held, ["2"])
                must(not held.saw("error") and len(held.saw("open")) == 1, "not one stream", held)
            else:
                must(within(30, lambda: held.saw("error")), "not ended", held)
                must(not held.data(), "a page reads what it is not granted", held)


def granting(origin, credentials=False):
    """The head of a stream that pages at this origin may read."""
    fields = f"Access-Control-Allow-Origin: {origin}\r\n"
    fields += "Access-Control-Allow-Credentials: true\r\n" * credentials
    return HEAD.replace(b"Access-Control-Allow-Origin: *\r\n", fields.encode())


def outage_hold_origin(world):
    held_for_another_origin(world, False, lambda origin: HEAD, reads_it=True)


def outage_hold_credentials(world):
    held_for_another_origin(world, True, lambda origin: granting(origin, True), reads_it=True)


def outage_hold_withdrawn(world):
    held_for_another_origin(world, False, lambda origin: granting("http://b.test"), reads_it=False)


def outage_hold_credentials_withdrawn(world):
    held_for_another_origin(world, True, lambda origin: HEAD, reads_it=False)


# --- Upstreams that break -------------------------------------------------------------------


def resumed(world, interrupt):
    """It breaks twice, once within an event and once between two: the page notices nothing."""
    with world.proxied("resume = true", 'heartbeat = "1s"') as proxy, world.page(proxy) as page:
        stream = world.asked(page).begin().send("id: 1\ndata: 1\n\nid: 2\ndata: 2\n\n")
        reads(page, ["1", "2"])
        interrupt(world, proxy, stream.send("id: 3\ndata: ha"))
        stream = world.asked(page, after=1).begin()
        must(stream.last_event_id == "2", f"Last-Event-ID {stream.last_event_id!r}")
        stream.send("id: 3\ndata: 3\n\nid: 4\ndata: 4\n\n")
        reads(page, ["1", "2", "3", "4"])
        interrupt(world, proxy, stream)
        stream = world.asked(page, after=2).begin()
        must(stream.last_event_id == "4", f"Last-Event-ID {stream.last_event_id!r}")
        stream.send("id: 5\ndata: 5\n\n")
        reads(page, ["1", "2", "3", "4", "5"])
        must(not page.saw("error") and len(page.saw("open")) == 1, "a break is seen", page)


def resume_reset(world):
    resumed(world, lambda world, proxy, stream: stream.cut(reset=True))


def resume_closed(world):
    resumed(world, lambda world, proxy, stream: stream.cut())


def resume_absent(world):
    """The server is down until a heartbeat is due."""
    def interrupt(world, proxy, stream):
        target = f"/events/spy{len(world.server.streams)}"
        spy = Spy(proxy.port, target)
        must(asked := world.server.asked(target), "a spy's request is lost")
        asked.begin().send("id: 1\ndata: 1\n\n")
        must(within(10, lambda: "data: 1" in spy.text), "the spy sees no event")
        world.server.down()
        must(spy.sees_comments(2), f"no heartbeats while the server is away: {spy.text!r}")
        spy.close()
        world.server.up()
    resumed(world, interrupt)


def restart(world):
    """Without `resume` the page sees the break, and the browser reconnects."""
    with world.proxied() as proxy, world.page(proxy) as page:
        stream = world.asked(page).begin().send("retry: 100\nid: 1\ndata: 1\n\n")
        reads(page, ["1"])
        stream.send("id: 2\ndata: half\n").cut(reset=True)
        stream = world.asked(page, after=1).begin()
        must(stream.last_event_id == "1", f"Last-Event-ID {stream.last_event_id!r}")
        stream.send("id: 2\ndata: 2\n\n")
        reads(page, ["1", "2"])
        must([e["state"] for e in page.saw("error")] == [CONNECTING], "not one break", page)


def restart_slow(world):
    """The server is down for longer than the browser waits; `retry` keeps it reconnecting."""
    soon = ['retry_min = "100ms"', 'retry_max = "500ms"']
    with world.proxied('on_outage = "retry"', drain=soon) as proxy, world.page(proxy) as page:
        world.asked(page).begin().send("retry: 100\nid: 1\ndata: 1\n\n")
        reads(page, ["1"])
        world.server.down()
        must(within(60, lambda: len(page.saw("error")) > 2), "it gives up", page)
        world.server.up()
        stream = world.asked(page, after=1).begin()
        must(stream.last_event_id == "1", f"Last-Event-ID {stream.last_event_id!r}")
        stream.send("id: 2\ndata: 2\n\n")
        reads(page, ["1", "2"])
        must(not any(e["state"] == CLOSED for e in page.log), "closed for good", page)


# --- Streams that are quiet, and pages that leave -------------------------------------------


def heartbeats(world):
    """They are sent, but the page does not see them, and none is within an event."""
    with world.proxied('heartbeat = "1s"') as proxy, world.page(proxy) as page:
        stream, spy, other = world.asked(page).begin(), *spies(world, proxy, 2)
        must(spy.sees_comments(3), f"no heartbeats: {spy.raw}")
        world.server.asked("/events/spy1").send("data: a\n")
        stream.send("data: a\n")
        must(spy.sees_comments(3), f"no heartbeats: {spy.raw}")
        world.server.asked("/events/spy1").send("data: b\n\n")
        stream.send("data: b\n\n")
        reads(page, ["a\nb"])
        must(within(10, lambda: "data: b\n\n" in other.text), f"no event: {other.text!r}")
        must("data: a\ndata: b\n\n" in other.text, f"something in an event: {other.text!r}")
        must(len(page.log) == 2, "not just `open` and one message", page)
        spy.close(), other.close()


def page_leaves(world):
    with world.proxied() as proxy:
        with world.page(proxy) as page:
            stream = world.asked(page).begin()
            must(within(30, lambda: page.saw("open")), "not opened", page)
        must(stream.left(10), "the event server's connection stays open when a page is closed")


# --- A proxy that ends ----------------------------------------------------------------------


def spies(world, proxy, count):
    """Starts streams to clients that keep every byte."""
    made = [Spy(proxy.port, f"/events/spy{n}") for n in range(count)]
    for n in range(count):
        must(stream := world.server.asked(f"/events/spy{n}"), "a spy's request is lost")
        stream.begin()
    return made


def drain(world, count=20):
    """Every stream is told when to reconnect, and is ended between two events: nothing is lost."""
    old_one = dict(server=["reuse_port = true"],
                   drain=['window = "8s"', 'retry_min = "4s"', 'retry_max = "6s"'])
    with world.proxied(**old_one) as old:
        hosts = [old.origin(f"s{n}.test") for n in range(count)]
        # The page is not served by the proxy that ends, or its reports might be lost.
        with world.desk.page(world.browser, world.desk.origin, hosts) as page:
            watching = spies(world, old, count)
            streams = [world.asked(page, source=n).begin() for n in range(count)]
            streams += [world.server.asked(f"/events/spy{n}") for n in range(count)]
            for stream in streams:
                stream.send("id: 1\ndata: whole\n\n")
            for n in range(count):
                reads(page, ["whole"], n)
            # At SIGTERM every other stream is within an event, which ends soon after.
            for stream in streams[::2]:
                stream.send("id: 2\ndata: two ")
            with world.proxied(listen=old.port, server=["reuse_port = true"]):
                old.drain()
                for stream in streams[::2]:
                    stream.send("halves\n\n")
                come_back(world, page, count)
                must(within(30, old.ended), "it does not end")
                must(old.process.returncode == 0, f"exit status {old.process.returncode}")
        delays = [page.saw("open", n)[1]["time"] - page.saw("error", n)[0]["time"]
                  for n in range(count)]
        must(min(delays) > 3900, f"back after {min(delays):.0f} ms, sooner than any `retry:` said")
    told_to_retry(watching)


def drain_without_head(world):
    """The server's head would come with the first event, which does not come: the page
    reconnects."""
    soon = ['window = "2s"', 'retry_min = "100ms"', 'retry_max = "500ms"']
    for settings in [], ['on_outage = "retry"']:
        shared = ["reuse_port = true"]
        with world.proxied(*settings, server=shared, drain=soon) as old:
            hosts = [old.origin("page.test")]
            with world.desk.page(world.browser, world.desk.origin, hosts) as page:
                world.asked(page)
                with world.proxied(listen=old.port, server=shared):
                    old.drain()
                    world.asked(page, after=1).begin().send("data: back\n\n")
                    reads(page, ["back"])
                    must(within(30, old.ended), "it does not end")
                states = {e["state"] for e in page.saw("error")}
                must(states <= {CONNECTING}, "closed for good", page)


def drain_delayed(world):
    """A page opened during the delay is served, and its stream ends like any other."""
    shared = ["reuse_port = true"]
    steps = ['delay = "3s"', 'window = "1s"', 'retry_min = "100ms"', 'retry_max = "500ms"']
    with world.proxied(server=shared, drain=steps) as old:
        old.drain()
        with world.page(old) as page:
            world.asked(page).begin().send("data: late\n\n")
            reads(page, ["late"])
            with world.proxied(listen=old.port, server=shared):
                world.asked(page, after=1).begin().send("data: after\n\n")
                reads(page, ["late", "after"])
            must(within(30, old.ended), "it does not end")
            must([e["state"] for e in page.saw("error")][:1] == [CONNECTING], "no error", page)


def come_back(world, page, count):
    for n in range(count):
        stream = world.asked(page, after=1, source=n).begin()
        if stream.last_event_id == "1":
            stream.send("id: 2\ndata: two halves\n\n")
        stream.send("id: 3\ndata: after\n\n")
    for n in range(count):
        # If there was no incomplete event, the new stream sends the second event.
        reads(page, ["whole", "two halves", "after"], n)
        states = [e["state"] for e in page.saw("error", n)]
        must(states == [CONNECTING], f"source {n}: errors in states {states}")
        must(len(page.saw("open", n)) == 2, f"source {n} did not open twice")


def told_to_retry(watching):
    times = set()
    for spy in watching:
        must(spy.complete, f"a body without its end: {spy.raw[-80:]}")
        must(spy.text.endswith("\n\n"), f"half an event: {spy.text[-80:]!r}")
        said = re.findall(r"(?:^|\n)retry: ?(\d+)\n", spy.text)
        must(len(said) == 1 and 4000 <= int(said[0]) <= 6000, f"`retry:` {said} in {spy.text!r}")
        times.add(said[0])
    must(len(times) > 1, f"all are told the same: {times}")


STORIES = {
    "outage, error": outage_error, "outage, retry": outage_retry, "outage, hold": outage_hold,
    "outage, hold, another origin": outage_hold_origin,
    "outage, hold, credentials": outage_hold_credentials,
    "outage, hold, withdrawn": outage_hold_withdrawn,
    "outage, hold, credentials withdrawn": outage_hold_credentials_withdrawn,
    "resume, reset": resume_reset, "resume, closed": resume_closed,
    "resume, server away": resume_absent,
    "restart": restart, "restart, slow": restart_slow,
    "heartbeats": heartbeats, "a page leaves": page_leaves, "drain": drain,
    "drain, no head": drain_without_head, "drain, delay": drain_delayed,
}


def run(report):
    stories = {f"story {name}": story for name, story in STORIES.items()}
    stories = {name: story for name, story in stories.items() if report.wants(name)}
    if not stories:
        return
    desk = Desk()
    with chrome() as browser:
        for name, story in stories.items():
            report.verdict(name, told(story, browser, desk))
    desk.shutdown()


def told(story, browser, desk):
    try:
        with stage() as server:
            story(World(browser, desk, server))
    except Refused as refused:
        return f"millstream does not start: {refused}"
    except Wrong as wrong:
        return str(wrong)
