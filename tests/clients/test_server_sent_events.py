"""Server-Sent Events by the letter of the specification, however the bytes are cut."""

import json
import re
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clients.server_sent_events import ServerSentEvent, read_events


def event(data: str, name: str = "message", event_id: str = "") -> ServerSentEvent:
    return ServerSentEvent(name, data, event_id)


@pytest.mark.parametrize(
    ("stream", "events"),
    [
        ("data: one\n\n", [event("one")]),
        ("data:one\n\n", [event("one")]),
        ("data:  one\n\n", [event(" one")]),
        ("data: one\r\rdata: two\r\n\r\n", [event("one"), event("two")]),
        ("data: one\ndata\ndata: three\n\n", [event("one\n\nthree")]),
        (": a comment\n\n:\n\ndata: one\n\n", [event("one")]),
        ("event: token\ndata: one\n\ndata: two\n\n", [event("one", "token"), event("two")]),
        ("event: token\n\ndata: one\n\n", [event("one")]),
        ("id: 7\ndata: one\n\ndata: two\n\n", [event("one", event_id="7"), event("two", event_id="7")]),
        ("id: 7\ndata: one\n\nid\ndata: two\n\n", [event("one", event_id="7"), event("two")]),
        ("id: 7\0\ndata: one\n\n", [event("one")]),
        ("retry: 10\nunknown: x\ndata: one: two\n\n", [event("one: two")]),
        ("\ufeffdata: one\n\n", [event("one")]),
        ("data: cut off", []),
        ("data: cut off\n", []),
        ("data: one\r\r", [event("one")]),
        ("", []),
    ],
)
def test_the_specifications_cases(stream: str, events: list[ServerSentEvent]) -> None:
    assert list(read_events([stream.encode()])) == events
    assert list(read_events(bytes([byte]) for byte in stream.encode())) == events


@given(
    st.lists(st.tuples(st.text(st.characters(codec="utf-8"), min_size=1), st.sampled_from(["token", "done"]))),
    st.sampled_from(["\n", "\r\n", "\r"]),
    st.lists(st.integers(1, 9)),
)
def test_any_text_survives_any_line_ends_and_any_cuts(
    sent: list[tuple[str, str]], line_end: str, sizes: list[int]
) -> None:
    data = [json.dumps({"content": text}, ensure_ascii=False) for text, _ in sent]
    lines = [f"event: {name}\ndata: {part}\n\n" for part, (_, name) in zip(data, sent, strict=True)]
    stream = "".join(lines).replace("\n", line_end).encode()
    received = list(read_events(cut(stream, sizes)))
    assert [(json.loads(part.data)["content"], part.name) for part in received] == sent


@given(
    st.lists(st.sampled_from(["data: ", "data", "id: ", "event: ", "\n\n", "\r", "\n", ":", " ", "a", "é", "\u2028"])),
    st.lists(st.integers(1, 5)),
)
def test_where_the_bytes_are_cut_makes_no_difference(parts: list[str], sizes: list[int]) -> None:
    stream = "".join(parts)
    assert list(read_events(cut(stream.encode(), sizes))) == by_the_letter(stream)


def by_the_letter(stream: str) -> list[ServerSentEvent]:
    """The specification's grammar on the whole stream: blocks that a blank line ends, each field in its order."""
    *lines, _ = re.split(r"\r\n|\r|\n", stream)
    events, block, event_id = [], [], ""
    for line in lines:
        if line:
            block.append(re.fullmatch(r"([^:]*)(?:: ?(.*))?", line, re.DOTALL))
            continue
        found = [(match[1], match[2] or "") for match in block if match]
        event_id = ([event_id] + [value for name, value in found if name == "id"])[-1]
        name = (["message"] + [value for field, value in found if field == "event"])[-1] or "message"
        if any(field == "data" for field, _ in found):
            events.append(event("\n".join(value for field, value in found if field == "data"), name, event_id))
        block = []
    return events


def cut(stream: bytes, sizes: Sequence[int]) -> list[bytes]:
    chunks = []
    for size in sizes:
        chunks.append(stream[:size])
        stream = stream[size:]
    return [*chunks, stream]
