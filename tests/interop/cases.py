"""Requests with curl, and the output in a form in which two runs can be compared."""
import hashlib, os, re, subprocess, tempfile
from pathlib import Path

# Fields that a proxy may change, and the date.
OWN = {"connection", "keep-alive", "transfer-encoding", "date", "via", "x-accel-buffering"}
# The field that the proxy adds to event streams without one.
UNCACHED = b"cache-control: no-cache, no-transform"


def without_comments(text):
    """A stream without the comments that the proxy inserts between events."""
    return re.sub(rb"(?m)^:\n\n?", b"", text)


def curl(*words, stdin=None):
    """The heads without fields that a proxy may change, sorted, and digests of the bodies."""
    # The proxy always uses HTTP/1.1, for which an origin may send a length that HTTP/1.0 would not
    # get.
    own = OWN | {"content-length"} if "-0" in words else OWN
    def client(base):
        with tempfile.NamedTemporaryFile(delete=False) as file:
            heads = Path(file.name)
        full = [base + word if word[:1] == "/" and word != os.devnull else word
                for word in words]
        done = subprocess.run(["curl", "-sS", "-D", heads, "--max-time", "30", *full],
                              input=stdin, capture_output=True, timeout=70)
        said = []
        text = heads.read_bytes()
        heads.unlink()
        for head in text.split(b"\r\n\r\n")[:-1]:
            status, *fields = head.split(b"\r\n")
            fields = [field.partition(b":") for field in fields]
            said += [status.split()[1], *sorted(b"%s:%s" % (name.lower(), value)
                     for name, _, value in fields if name.lower().decode() not in own)]
        said = [word for word in said if word != UNCACHED]
        done.stdout = without_comments(done.stdout)
        # nginx numbers the boundaries of its multipart responses.
        said = [re.sub(rb"\d{20}", b"BOUNDARY", word) for word in said]
        done.stdout = re.sub(rb"\b\d{20}\b", b"BOUNDARY", done.stdout)
        body = "%d bytes %s" % (len(done.stdout), hashlib.sha256(done.stdout).hexdigest()[:16])
        end = "exit %d %s" % (done.returncode, done.stderr.decode())
        return b"\n".join([*said, body.encode(), end.encode()])
    return client


def parallel(base):
    """Forty downloads, twenty at a time."""
    words = ["--parallel", "--parallel-max", "20", "-w", r"%{http_code} %{size_download}\n"]
    for n in range(40):
        words += ["-o", os.devnull, f"{base}/bytes/{n}000"]
    done = subprocess.run(["curl", "-s", "--no-progress-meter", *words],
                          capture_output=True, timeout=70)
    return b"\n".join(sorted(done.stdout.splitlines())) + b"\nexit %d\n" % done.returncode


BODY = bytes(range(256)) * 1200  # 300 KiB

CURL = {
    "get": curl("/hello"),
    "head": curl("-I", "-o", os.devnull, "/hello"),
    "redirect": curl("-L", "/moved"),
    "http/1.0": curl("-0", "/hello"), "http/1.0 chunks": curl("-0", "/chunks/100"),
    "http/1.0 keep-alive": curl("-0", "-H", "Connection: keep-alive", "/hello", "/hello"),
    "204": curl("/empty"), "404": curl("/nothing/here"), "chunks": curl("/chunks/1000"),
    "empty chunks": curl("/chunks/0"),
    "no bytes": curl("/bytes/0"),
    "bytes": curl("/bytes/3000000"),
    "compressed": curl("--compressed", "/hello"), "query": curl("/hello?a=b&c=%20d"),
    "several": curl("/hello", "/chunks/5", "/bytes/70000", "/empty", "/hello"),
    "slowly": curl("--limit-rate", "2M", "/bytes/3000000"),
    "parallel": parallel,
    "post": curl("--data-binary", "@-", "/digest", stdin=BODY),
    "post empty": curl("-X", "POST", "-d", "", "/digest"),
    "post expecting 100": curl(
        "-H", "Expect: 100-continue", "--data-binary", "@-", "/digest", stdin=BODY,
    ),
    "put chunked": curl("-T", "-", "/digest", stdin=BODY),
    "put chunked, empty": curl("-T", "-", "/digest", stdin=b""),
    "put chunked, no expect": curl("-H", "Expect:", "-T", "-", "/digest", stdin=BODY),
    "echo": curl("-H", "Expect:", "--data-binary", "@-", "/echo", stdin=BODY),
    "echo chunked": curl("-T", "-", "/echo", stdin=BODY),
    "events": curl("-N", "-H", "Accept: text/event-stream", "-H", "Last-Event-ID: 6", "/events/5"),
    "http/1.0 post": curl("-0", "--data-binary", "@-", "/bytes/5", stdin=b"x=y"),
    "http/1.0 digest": curl("-0", "--data-binary", "@-", "/digest", stdin=BODY),
    "h2c offered": curl("--http2", "/hello"),
}

FILES = {
    "file": curl("/large.bin"),
    "head": curl("-I", "-o", os.devnull, "/large.bin"),
    "range": curl("-r", "100-4099", "/large.bin"),
    "suffix range": curl("-r", "-500", "/large.bin"),
    "many ranges": curl("-r", "0-9,100-109", "/text.txt"),
    "no such range": curl("-r", "99999999-", "/large.bin"),
    "gzip": curl("-H", "Accept-Encoding: gzip", "/text.txt"),
    "compressed": curl("--compressed", "/text.txt"),
    "not modified": curl("-H", "If-Modified-Since: Fri, 01 Jan 2100 00:00:00 GMT", "/text.txt"),
    "dir": curl("/dir/"),
    "dir redirect": curl("/dir"),
    "404": curl("/none"),
    "empty": curl("/empty.txt"),
    "405": curl("-X", "POST", "-d", "x=y", "/text.txt"), "odd name": curl("/a%20b%25.txt"),
    "several": curl("/text.txt", "/large.bin", "/empty.txt", "/none", "/text.txt"),
    "http/1.0": curl("-0", "/large.bin"),
    "413": curl("-H", "Expect:", "--data-binary", "@-", "/text.txt", stdin=BODY),
    "413 expecting": curl(
        "-H", "Expect: 100-continue", "--data-binary", "@-", "/text.txt", stdin=BODY * 8,
    ),
}
