"""The streams of streams.txt for the servers in Python: fields and pieces."""
import time
from pathlib import Path
from urllib.parse import unquote_to_bytes

PAUSE = 0.005  # seconds between pieces, to send each by itself
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
# Event streams that Python's libraries must read the same with and without a proxy. A byte order
# mark is removed only by millstream: these libraries take it for a part of a field name.
READ_ALIKE = [name for name, (fields, _) in STREAMS.items() if name != "mark"
              and "event-stream" in fields["Content-Type"] and "Content-Encoding" not in fields]


def paced(pieces):
    for piece in pieces:
        yield piece
        time.sleep(PAUSE)
