"""Server-sent events as endpoints send them, cut anywhere, and broken ones."""

import json
from itertools import chain
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers.chat.completions import joined
from providers.openai_errors import EndpointError
from providers.openai_wire import EventParser

Json = dict[str, Any]


def read(stream: bytes, cuts: list[int]) -> tuple[list[Json], bool]:
    """The events of *stream* when it comes in pieces that end at *cuts*."""
    parser, at = EventParser(), 0
    events: list[Json] = []
    for cut in [*sorted(cut % (len(stream) + 1) for cut in cuts), len(stream)]:
        for batch in parser.feed(stream[at:cut]):
            events += batch
        at = cut
    return events, parser.is_done


values = st.dictionaries(st.text(max_size=5), st.text(max_size=8) | st.integers(-9, 9), max_size=3)
events = values.filter(lambda value: not value.get("error"))


@given(said=st.lists(events, max_size=6), ending=st.sampled_from(["\n", "\r\n"]), cuts=st.lists(st.integers(0, 9999)))
def test_events_are_the_same_wherever_the_stream_is_cut(said: list[Json], ending: str, cuts: list[int]) -> None:
    lines = [": a comment", "", *(line for event in said for line in ("event: x", f"data: {json.dumps(event)}", ""))]
    stream = (ending.join([*lines, "data: [DONE]", ""]) + ending).encode()
    assert read(stream, cuts) == (said, True)


def test_an_event_over_several_lines_is_one() -> None:
    assert read(b'data: {"a":\ndata:1}\n\n', []) == ([{"a": 1}], False)


@pytest.mark.parametrize(
    ("bad", "error"),
    [
        (b"data: {broken\n\n", ValueError),
        (b"data: [1]\n\n", TypeError),
        (b'data: {"error": {"message": "no"}}\n\n', EndpointError),
        (b"data: " + b"x" * 5_000_000, ValueError),
    ],
    ids=["no JSON", "no object", "an error", "endless"],
)
def test_what_came_before_a_bad_event_is_given_first(bad: bytes, error: type[Exception]) -> None:
    parser = EventParser()
    good: list[Json] = []
    with pytest.raises(error):
        good.extend(chain.from_iterable(parser.feed(b'data: {"a": 1}\n\n' + bad)))
    assert good == [{"a": 1}]


def chunk(text: str | None = None, **more: Any) -> Json:
    return {"id": "x", "choices": [{"index": 0, "delta": {"content": text} if text is not None else {}, **more}]}


def test_only_pieces_that_add_text_alone_become_one() -> None:
    tool = {"choices": [{"index": 0, "delta": {"content": "", "tool_calls": [{"index": 0}]}, "finish_reason": None}]}
    last = {**chunk(finish_reason="stop"), "usage": None}
    usage = {"choices": [], "usage": {"total_tokens": 3}}
    stream = [chunk("a"), chunk("b", finish_reason=None), tool, chunk("c"), chunk("d"), chunk("e"), last, usage]
    assert list(joined(stream)) == [chunk("ab"), tool, chunk("cde"), last, usage]


@given(texts=st.lists(st.text(max_size=4), max_size=20))
def test_no_text_is_lost_or_moved_in_joining(texts: list[str]) -> None:
    whole = list(joined(chunk(text) for text in texts))
    assert "".join(event["choices"][0]["delta"]["content"] for event in whole) == "".join(texts)
    assert len(whole) <= 1
