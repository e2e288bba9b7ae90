"""Server-sent events as endpoints send them, cut anywhere, and broken ones."""

import json
from itertools import chain
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

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
