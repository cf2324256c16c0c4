"""Trials with more than one response: much data, many clients, both directions at once, leftovers.

Each takes an address and, if it is that of millstream, its process. It returns what is wrong.
"""
import hashlib, http.client, os, socket, subprocess, threading, time
from pathlib import Path

def within(seconds, condition):
    """True as soon as the condition is true; false after the timeout."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


BLOCK = bytes(range(256)) * 256


def sha256_of(size):
    digest = hashlib.sha256()
    for at in range(0, size, len(BLOCK)):
        digest.update(BLOCK[: size - at])
    return digest.hexdigest()


def upload(base, process, size=200_000_000):
    command = ["curl", "-sS", "-T", "-", base + "/digest"]
    curl = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        for at in range(0, size, len(BLOCK)):
            curl.stdin.write(BLOCK[: size - at])
        curl.stdin.close()
    except BrokenPipeError:
        pass
    said = curl.stdout.read().decode()
    good = curl.wait() == 0 and said == sha256_of(size)
    return None if good else f"exit {curl.returncode} {said}"


def download(base, process, size=500_000_000):
    curl = subprocess.Popen(["curl", "-sS", f"{base}/bytes/{size}"], stdout=subprocess.PIPE)
    digest = hashlib.file_digest(curl.stdout, "sha256").hexdigest()
    return None if curl.wait() == 0 and digest == sha256_of(size) else f"exit {curl.returncode}"


def connect(base):
    host, port = base[7:].split(":")
    return socket.create_connection((host, int(port)), timeout=10)


def crowd(base, process, clients=200, each=20):
    """Many keep-alive clients at once, each with bodies of its own length."""
    wrong = []

    def client(number):
        connection = http.client.HTTPConnection(base[7:], timeout=30)
        try:
            for n in range(each):
                size = number * 37 + n
                connection.request("GET", f"/bytes/{size}")
                if connection.getresponse().read() != BLOCK[:size]:
                    wrong.append(f"client {number}, {size} bytes: others came")
        except Exception as error:
            wrong.append(f"client {number}: {error!r}")
        connection.close()

    threads = [threading.Thread(target=client, args=[n]) for n in range(clients)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    return "\n".join(wrong[:5])


def duplex(base, process):
    """Each piece of a body is sent only after the previous one has come back."""
    with connect(base) as client:
        client.sendall(b"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        got = b""
        try:
            for n in range(20):
                client.sendall(b"8\r\npiece%03d\r\n" % n)
                while b"piece%03d" % n not in got:
                    if not (data := client.recv(65536)):
                        return f"the connection ended after {got!r}"
                    got += data
        except TimeoutError:
            return f"piece {n} does not come back"
    return None


def descriptors(process):
    return len(os.listdir(f"/proc/{process.pid}/fd"))


def cpu_ticks(process):
    return sum(int(n) for n in Path(f"/proc/{process.pid}/stat").read_text().split()[13:15])


def streams(base, process, count=50):
    """Clients that leave their streams, by FIN or RST, leave no descriptor open."""
    if not within(5, lambda: descriptors(process) < 20):
        return f"{descriptors(process)} descriptors before anything was asked"
    clients = [connect(base) for _ in range(count)]
    for client in clients:
        client.sendall(b"GET /events/2000 HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\n\r\n")
    for client in clients:
        if b" 200 " not in client.recv(100):
            return "no stream"
    for number, client in enumerate(clients):
        if number % 2:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        client.close()
    if not within(5, lambda: descriptors(process) < 20):
        return f"{descriptors(process)} descriptors are left"
    return None


def leftovers(base, process):
    """Nothing remains of clients that have left, except two idle upstream connections."""
    wrong = None

    def settled():
        nonlocal wrong
        wrong = left_over(process)
        return wrong is None

    within(5, settled)
    return wrong


def left_over(process):
    table = subprocess.run(["ss", "-tnp"], capture_output=True, text=True).stdout
    own = [line for line in table.splitlines() if f"pid={process.pid}," in line]
    if any("CLOSE-WAIT" in line for line in own) or len(own) > 2:
        return "\n".join(own)
    before = cpu_ticks(process)
    time.sleep(1)  # there must be no work in this second
    used = cpu_ticks(process) - before
    return f"{used} ticks of CPU in an idle second" if used > 1 else None


TRIALS = {"upload": upload, "download": download, "crowd": crowd, "duplex": duplex}
PROXY_TRIALS = {"streams": streams, "leftovers": leftovers}
