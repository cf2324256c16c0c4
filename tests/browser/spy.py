"""A client that keeps every byte, to see what a browser receives but does not tell its page."""
import contextlib, socket, threading

import millstream
from waiting import within


class Spy:
    """An event stream: `text` is its body so far, `complete` says whether that ended properly."""

    def __init__(self, port, target):
        self.raw = b""
        self.connection = socket.create_connection(("127.0.0.1", port), timeout=60)
        if millstream.certificate:
            trust = millstream.certificate.trust()
            self.connection = trust.wrap_socket(self.connection, server_hostname="spy.test")
        self.connection.sendall(f"GET {target} HTTP/1.1\r\nHost: spy.test\r\n"
                                "Accept: text/event-stream\r\n\r\n".encode())
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        with contextlib.suppress(OSError):
            while data := self.connection.recv(65536):
                self.raw += data
        self.connection.close()

    def chunks(self):
        _, _, left = self.raw.partition(b"\r\n\r\n")
        while b"\r\n" in left:
            size, _, left = left.partition(b"\r\n")
            size = int(size, 16)
            yield left[:size]
            left = left[size + 2:]

    @property
    def text(self):
        return b"".join(self.chunks()).decode()

    @property
    def complete(self):
        return self.raw.endswith(b"\r\n0\r\n\r\n")

    def comments(self):
        return sum(line.startswith(":") for line in self.text.split("\n"))

    def sees_comments(self, count, seconds=30):
        """Waits for this number of further comments."""
        before = self.comments()
        return within(seconds, lambda: self.comments() >= before + count)

    def close(self):
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)
