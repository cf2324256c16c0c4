"""The streams of streams.txt, for the servers in Python: each is its fields and its pieces."""
import time
from pathlib import Path
from urllib.parse import unquote_to_bytes

PAUSE = 0.005  # between two pieces, so that each is sent by itself
ETAG = '"one"'


def read():
    streams = {}
    text = Path(__file__).with_name("streams.txt").read_text()
    for paragraph in text.split("\n\n")[1:]:
        first, *pieces = paragraph.splitlines()
        name, kind, *coding = first.split("|")
        fields = {"Content-Type": kind} | ({"Content-Encoding": coding[0]} if coding else {})
        streams[name] = fields, [unquote_to_bytes(piece) for piece in pieces]
    return streams


STREAMS = read()
# Event streams of which Python's libraries must make the same with a proxy in between and without.
# Only millstream takes a byte order mark off for them: they take it for a part of a field's name.
READ_ALIKE = [name for name, (fields, _) in STREAMS.items() if name != "mark"
              and "event-stream" in fields["Content-Type"] and "Content-Encoding" not in fields]


def paced(pieces):
    for piece in pieces:
        yield piece
        time.sleep(PAUSE)
