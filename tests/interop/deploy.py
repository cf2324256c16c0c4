#!/usr/bin/env python3
"""A deploy during answers and subscriptions: whatever looks complete must be complete.

    tests/interop/deploy.py [ANSWERS [SUBSCRIPTIONS]]      default: 200 and 2,000

One process ends while another one serves reconnecting clients in its place. Clients keep connecting
to the old one during its delay. Every answer is a number of events and a final one, so its client
knows whether it is complete; some take longer than `drain.answers`. A subscription counts up from
the id in its request.
"""
import asyncio, json, resource, signal, subprocess, sys, tempfile, time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
MILLSTREAM = ROOT / "target/release/millstream"
DELAY, WINDOW, ANSWERS = 2, 4, 6
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
LAST = "[DONE]"


def chunk(data):
    return b"%x\r\n%s\r\n" % (len(data), data)


# --- The origin -----------------------------------------------------------------------------


async def serve(reader, writer):
    try:
        while head := await read_head(reader):
            line, fields = head
            method, path, _ = line.split()
            writer.write(HEAD)
            if method == "POST":
                await answer(writer, int(path.rpartition("/")[2]))
            else:
                await subscription(writer, int(fields.get("last-event-id", 0)))
    except (ConnectionError, asyncio.IncompleteReadError):
        pass
    finally:
        writer.close()


async def answer(writer, tenths):
    """This number of events, ten per second, each in two pieces, and the final one."""
    for n in range(tenths):
        writer.write(chunk(b"data: %d" % n))
        await asyncio.sleep(0.05)
        writer.write(chunk(b"\n\n"))
        await writer.drain()
        await asyncio.sleep(0.05)
    writer.write(chunk(b"data: %s\n\n" % LAST.encode()) + b"0\r\n\r\n")


async def subscription(writer, last):
    while True:
        last += 1
        writer.write(chunk(b"id: %d\ndata: %d\n\n" % (last, last)))
        await writer.drain()
        await asyncio.sleep(1)


async def read_head(reader):
    try:
        lines = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
    except (asyncio.IncompleteReadError, ConnectionError):
        return None
    fields = (line.partition(": ") for line in lines[1:] if line)
    return lines[0], {name.lower(): value for name, _, value in fields}


# --- Clients --------------------------------------------------------------------------------


class Refused(Exception):
    """A connection was not served at all."""


async def ask(port, request):
    """The head of a response, its body, whether it was complete, and when it ended."""
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(request.encode())
        head = await read_head(reader)
    except ConnectionError:
        head = None
    if head is None:
        raise Refused
    body, whole = b"", False
    try:
        while True:
            size = int(await reader.readline() or b"-1", 16)
            if size < 0:
                break
            piece = (await reader.readexactly(size + 2))[:-2]
            if size == 0:
                whole = True
                break
            body += piece
    except (ConnectionError, asyncio.IncompleteReadError):
        pass
    writer.close()
    return head, body.decode(), whole, time.monotonic()


def events(body):
    """The data of complete events, the last value of each field, and whether one is incomplete."""
    data, told = [], {}
    *blocks, rest = body.split("\n\n")
    for block in blocks:
        fields = dict(line.partition(":")[::2] for line in block.split("\n"))
        fields = {name: value.strip() for name, value in fields.items() if name}
        if "data" in fields:
            data.append(fields["data"])
        told |= fields
    return data, told, bool(rest)


class Deploy:
    def __init__(self, old, new):
        self.ports, self.wrong = (old, new), []
        self.began = self.closed = None
        self.complete = self.cut = self.moved = self.late = 0
        self.ends = []

    def check(self, right, what):
        if not right:
            self.wrong.append(what)

    async def answers(self, port, tenths):
        request = f"POST /answer/{tenths} HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n"
        started = time.monotonic()
        try:
            _, body, whole, ended = await ask(port, request)
        except Refused:
            after = started - self.began
            return self.check(False, f"an answer was refused {after:.2f} s after the signal")
        data, told, half = events(body)
        all_there = data == [*map(str, range(tenths)), LAST]
        self.check(whole == all_there, f"whole: {whole}, {len(data)} of {tenths + 1} events")
        self.check(whole or told.get("event") == "error", "cut without a word")
        self.check(not half, "cut within an event")
        self.complete, self.cut = self.complete + whole, self.cut + (not whole)
        if not whole:
            after = ended - self.began - DELAY
            in_time = ANSWERS - 0.2 < after < ANSWERS + 2
            self.check(in_time, f"cut {after:.2f} s after the port closed")

    async def subscribes(self, last):
        """Follows the subscription until the new process has sent an event."""
        port, wait = self.ports[0], 0
        while True:
            await asyncio.sleep(wait)
            request = (f"GET /events HTTP/1.1\r\nHost: a\r\nAccept: text/event-stream\r\n"
                       f"Last-Event-ID: {last}\r\n\r\n")
            if port == self.ports[1]:
                return await self.first_event(port, last, request)
            _, body, whole, ended = await ask(port, request)
            data, told, half = events(body)
            count = len(data)
            self.check(data == [str(last + 1 + n) for n in range(count)], f"events {data}")
            self.check(whole and "retry" in told and not half, f"ended badly: {body[-40:]!r}")
            self.ends.append(ended)
            last, port, wait = last + count, self.ports[1], int(told.get("retry", 0)) / 1000

    async def first_event(self, port, last, request):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(request.encode())
        await reader.readuntil(b"data: %d\n" % (last + 1))
        writer.close()
        self.moved += 1

    async def comes_late(self):
        """Sends requests one after the other until the port is closed; each must be served."""
        while True:
            request = "POST /answer/0 HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n"
            try:
                (_, fields), body, whole, _ = await ask(self.ports[0], request)
            except Refused:
                self.closed = time.monotonic()
                return
            self.check(whole and events(body)[0] == [LAST], "not served in the delay")
            self.check(fields.get("connection") == "close", "not told that it is the last time")
            self.late += 1
            await asyncio.sleep(0.01)

    def judge(self, answers, subscriptions):
        self.check(self.complete + self.cut == answers, "answers are missing")
        self.check(self.moved == subscriptions, "subscriptions are missing")
        self.check(self.closed - self.began > DELAY - 0.2, "the port closed early")
        slots, width = [0] * 9, WINDOW / 10
        for ended in self.ends:
            slots[max(0, min(8, int((ended - self.closed) / width)))] += 1
        least = subscriptions / 9 / 2
        self.check(min(slots) > least, f"the ends are not spread over the window: {slots}")
        return slots


# --- The deploy -----------------------------------------------------------------------------


def start(folder, name, origin):
    file = Path(folder) / f"{name}.toml"
    error = json.dumps("event: error\ndata: cut")
    file.write_text(f"""
        [server]
        listen = ["127.0.0.1:0"]
        [drain]
        delay = "{DELAY}s"
        window = "{WINDOW}s"
        answers = "{ANSWERS}s"
        retry_min = "100ms"
        retry_max = "1s"
        [log]
        access = "off"
        [[api]]
        name = "all"
        listen_path = "/"
        target_url = "http://127.0.0.1:{origin}"
        end_event = {error}
        """)
    log = (Path(folder) / f"{name}.log").open("w")
    process = subprocess.Popen([MILLSTREAM, file], stdout=subprocess.PIPE, stderr=log, text=True)
    return process, int(process.stdout.readline().rpartition(":")[2])


async def deploy(answers, subscriptions, folder):
    """Runs it. Returns what is wrong, a line for each problem, and a summary."""
    origin = subprocess.Popen([sys.executable, __file__, "origin"], stdout=subprocess.PIPE)
    processes = [origin]
    try:
        port = int(origin.stdout.readline())
        old, first = start(folder, "old", port)
        processes.append(old)
        new, second = start(folder, "new", port)
        processes.append(new)
        run = Deploy(first, second)
        tasks = []
        for n in range(max(answers, subscriptions)):
            if n < subscriptions:
                tasks.append(asyncio.create_task(run.subscribes(n)))
            if n < answers:
                # Some answers end before the signal, some during the drain, and some cannot end in
                # time.
                tasks.append(asyncio.create_task(run.answers(first, 20 + n * 130 // answers)))
            if n % 50 == 0:
                await asyncio.sleep(0.05)
        await asyncio.sleep(1)
        run.began = time.monotonic()
        old.send_signal(signal.SIGTERM)
        await asyncio.sleep(0.2)
        await run.comes_late()
        done, pending = await asyncio.wait(tasks, timeout=60)
        run.check(not pending, f"{len(pending)} clients have come to no end")
        for task in done:
            if error := task.exception():
                run.wrong.append(repr(error))
        took = time.monotonic() - run.began
        run.check(await asyncio.to_thread(old.wait, 20) == 0, "its exit status is not 0")
        slots = run.judge(answers, subscriptions)
        said = (f"{run.complete} answers whole, {run.cut} cut, {run.late} came late, "
                f"{run.moved} subscriptions moved, ended by tenths of the window {slots}, "
                f"over after {took:.1f} s")
        return run.wrong, said
    finally:
        for process in processes:
            process.terminate()
            process.wait(20)


async def origin():
    server = await asyncio.start_server(serve, "127.0.0.1", 0, backlog=4096)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


def trial(answers=200, subscriptions=2000):
    """Returns what is wrong with a deploy, in a few lines, or None; and a summary."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    with tempfile.TemporaryDirectory(prefix="deploy-") as folder:
        wrong, said = asyncio.run(deploy(answers, subscriptions, folder))
    return "\n".join(sorted(set(wrong))[:20]) or None, said


if __name__ == "__main__":
    if sys.argv[1:] == ["origin"]:
        try:
            asyncio.run(origin())
        except KeyboardInterrupt:
            pass
        sys.exit()
    problem, said = trial(*map(int, sys.argv[1:]))
    print(problem or "nothing that looks complete is incomplete", said, sep="\n")
    sys.exit(bool(problem))
