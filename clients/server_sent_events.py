"""Server-Sent Events read from a stream of bytes.

Source: https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream

httpx's own `iter_lines`, and what is built on it, also ends lines at U+2028, U+0085 and others, which may stand
unescaped in JSON: such an event would be cut in two.
"""

import codecs
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

# A carriage return at the end of what has arrived may be half of a pair.
_LINE_END = re.compile(r"\r\n|\n|\r(?=[^\n])")


@dataclass(frozen=True, slots=True)
class ServerSentEvent:
    """One event; without a name from the server it is "message", without an id it has that of the one before, or ""."""

    name: str
    data: str
    event_id: str


def read_events(chunks: Iterable[bytes]) -> Iterator[ServerSentEvent]:
    """The events in *chunks*, wherever these cut; one that the stream ends in the midst of is dropped."""
    name, event_id = "", ""
    data: list[str] = []
    for line in _lines(chunks):
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if line == "":
            if data:
                yield ServerSentEvent(name or "message", "\n".join(data), event_id)
            name, data = "", []
        elif field == "event":
            name = value
        elif field == "data":
            data.append(value)
        elif field == "id" and "\0" not in value:
            event_id = value


def _lines(chunks: Iterable[bytes]) -> Iterator[str]:
    decoder, rest = codecs.getincrementaldecoder("utf-8-sig")("replace"), ""
    for chunk in chunks:
        *whole, rest = _LINE_END.split(rest + decoder.decode(chunk))
        yield from whole
    if rest.endswith("\r"):
        yield rest[:-1]
