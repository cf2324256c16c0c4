#!/usr/bin/env python3
"""Counts what the program does for one request, connection or event: instructions and allocations.

    make count                 # compares with benches/COUNTS.md; status 1 if something costs more
    make count KEEP=1          # rewrites that file

Both are measured with valgrind, which simulates a processor, so a busy host has no influence, and
half a per cent is significant. The kernel's part is not counted. Each scenario runs twice, the
second time with twice as many repetitions: the difference is their cost, without the start and the
end of the program. Client and origin are in this file.

The numbers depend on the compiler and the C library. Compare two versions on the same host.
"""

import argparse
import contextlib
import os
import pathlib
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading

HERE = pathlib.Path(__file__).resolve().parent
REFERENCE = HERE / "COUNTS.md"
# More additional instructions than this, in per cent, are a regression. Fewer than one allocation
# in a hundred repetitions are noise, such as a buffer that grows.
TOLERANCE = 1.0
# On a busy host the log's queue is written more or less often.
ALLOCATIONS_TOLERANCE = 0.5
RUNS = 3

HEAD = b"Host: a.example\r\nUser-Agent: count/1\r\nAccept: %s\r\nAccept-Language: en\r\n\r\n"
ANSWER = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nServer: count\r\n"
    b"Cache-Control: no-cache\r\nContent-Length: 3\r\n\r\nok\n"
)
STREAM = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
)
EVENT = b"id: 123456\ndata: {\"price\": 1234.56, \"size\": 7}\n\n"
CHUNK = b"%x\r\n%s\r\n" % (len(EVENT), EVENT)


def read_until(sock, end):
    data = b""
    while end not in data:
        more = sock.recv(65536)
        if not more:
            sys.exit(f"count: the connection ended after {data!r}")
        data += more
    return data


class Play:
    """A program under valgrind, an origin, and clients, which take turns."""

    def __init__(self, binary, tool, folder):
        self.origin = socket.create_server(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{self.origin.getsockname()[1]}"
        self.config = folder / "millstream.toml"
        self.config.write_text(
            f"[server]\nlisten = ['127.0.0.1:0']\n[log]\naccess = 'text'\n"
            f"[[api]]\nname = 'a'\nlisten_path = '/'\ntarget_url = '{url}'\n"
        )
        command = ["valgrind", *tool, str(binary), str(self.config)]
        self.errors = open(folder / "errors", "w+b")
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=self.errors)
        found = re.match(rb"listening on 127\.0\.0\.1:(\d+)", self.process.stdout.readline())
        if not found:
            sys.exit(f"count: the program did not start: {self.end()}")
        self.address = ("127.0.0.1", int(found.group(1)))
        # The access log is discarded, but it is written.
        threading.Thread(target=self.process.stdout.read, daemon=True).start()

    def connect(self):
        return socket.create_connection(self.address)

    def accept(self):
        return self.origin.accept()[0]

    def ask(self, client, accept=b"*/*"):
        client.sendall(b"GET /prices/eur HTTP/1.1\r\n" + HEAD % accept)

    def end(self):
        """Ends the program. Returns everything that it has printed to standard error."""
        self.process.terminate()
        self.process.wait()
        self.origin.close()
        with self.errors as errors:
            errors.seek(0)
            return errors.read().decode(errors="replace")


def requests(play, times):
    """A GET on a kept connection, answered on a kept connection."""
    client, upstream = play.connect(), None
    for _ in range(times):
        play.ask(client)
        upstream = upstream or play.accept()
        read_until(upstream, b"\r\n\r\n")
        upstream.sendall(ANSWER)
        read_until(client, b"ok\n")
    client.close()


def connections(play, times):
    """A client's connection, and a GET on it."""
    upstream = None
    for _ in range(times):
        with contextlib.closing(play.connect()) as client:
            play.ask(client)
            upstream = upstream or play.accept()
            read_until(upstream, b"\r\n\r\n")
            upstream.sendall(ANSWER)
            read_until(client, b"ok\n")


def streams(play, times):
    """A client's connection, an event stream on it, its first event, and the client's leaving."""
    for _ in range(times):
        client = play.connect()
        play.ask(client, b"text/event-stream")
        with contextlib.closing(play.accept()) as upstream:
            read_until(upstream, b"\r\n\r\n")
            upstream.sendall(STREAM + CHUNK)
            read_until(client, b"\n\n")
            client.close()
            while upstream.recv(65536):
                pass


def open_stream(play):
    """A client and an origin with an event stream between them."""
    client = play.connect()
    play.ask(client, b"text/event-stream")
    upstream = play.accept()
    read_until(upstream, b"\r\n\r\n")
    upstream.sendall(STREAM)
    read_until(client, b"\r\n\r\n")
    return client, upstream


def events(play, times):
    """An event of an open stream."""
    client, upstream = open_stream(play)
    for _ in range(times):
        upstream.sendall(CHUNK)
        read_until(client, b"\n\n")
    client.close()


def bursts(play, times):
    """Twenty events that an open stream gets at once."""
    client, upstream = open_stream(play)
    for _ in range(times):
        upstream.sendall(20 * CHUNK)
        read_until(client, 20 * EVENT)
    client.close()


SCENARIOS = [requests, connections, streams, events, bursts]


def count(binary, scenario, times, tool, pattern):
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        options = [option.format(folder=folder) for option in tool]
        play = Play(binary, options, folder)
        scenario(play, times)
        said = play.end()
    found = re.search(pattern, said)
    if not found:
        sys.exit(f"count: valgrind did not say {pattern!r}:\n{said}")
    return int(found.group(1).replace(",", ""))


def measure(binary, scenario, times):
    """The instructions and allocations of one repetition: the minimum of several runs, because
    sometimes what is one wake-up in most runs takes two."""
    callgrind = ["--tool=callgrind", "--callgrind-out-file={folder}/callgrind"]
    instructions = (callgrind, r"Collected : (\d+)")
    allocations = (["--tool=memcheck", "--leak-check=no"], r"total heap usage: ([\d,]+) allocs")
    result = []
    for tool, pattern in (instructions, allocations):
        few, many = (
            min(count(binary, scenario, n, tool, pattern) for _ in range(RUNS))
            for n in (times, 2 * times)
        )
        result.append((many - few) / times)
    return result


def reference():
    """The table in COUNTS.md."""
    rows = {}
    for line in REFERENCE.read_text().splitlines() if REFERENCE.exists() else []:
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) == 3 and cells[1].replace(",", "").isdigit():
            rows[cells[0]] = (int(cells[1].replace(",", "")), float(cells[2]))
    return rows


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("binary", type=pathlib.Path)
    parser.add_argument("--times", type=int, default=200, help="repetitions (200)")
    parser.add_argument("--keep", action="store_true", help="rewrite benches/COUNTS.md")
    arguments = parser.parse_args()
    if not shutil.which("valgrind"):
        sys.exit("count: valgrind is not installed (apt-get install valgrind)")
    os.environ["NO_COLOR"] = "1"
    socket.setdefaulttimeout(60)
    before, after, worse = reference(), {}, False
    for scenario in SCENARIOS:
        instructions, allocations = measure(arguments.binary, scenario, arguments.times)
        name = scenario.__doc__.rstrip(".")
        after[name] = (round(instructions), round(allocations, 1))
        line = f"{instructions:10,.0f} instructions  {allocations:5.1f} allocations  {name}"
        if name in before:
            was, allocated = before[name]
            change = 100 * (instructions / was - 1)
            line += f"  ({change:+.1f} %, {allocations - allocated:+.1f})"
            worse |= change > TOLERANCE or allocations > allocated + ALLOCATIONS_TOLERANCE
        print(line, flush=True)
    if arguments.keep:
        rows = "".join(f"| {name} | {i:,} | {a} |\n" for name, (i, a) in after.items())
        REFERENCE.write_text(
            "# What the program does for one of each\n\n"
            "Written by `make count KEEP=1`: user-space instructions and allocations, as valgrind "
            "counts them.\n\n"
            f"| | instructions | allocations |\n| --- | ---: | ---: |\n{rows}"
        )
    elif worse:
        sys.exit("count: something costs more than benches/COUNTS.md says")


if __name__ == "__main__":
    main()
