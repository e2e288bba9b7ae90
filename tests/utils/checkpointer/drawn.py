"""Values that hypothesis draws for conversations, and how a careless program changes them in place."""

from collections.abc import Iterator
from typing import Any, Literal

import hypothesis.strategies as st
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage
from langgraph.checkpoint.serde.types import ERROR, INTERRUPT, RESUME

from tests.servers.cutting import Cut

THREADS = ("a", "acme.a", "b{c}%7D")
NAMESPACES = ("", "child:1|deeper:2")
Removal = Literal["delete", "expire", "delete_for_runs", "prune", "copy", "lose_scripts"]

# Few different values, so that they recur: in other channels and conversations, and after they were removed.
long_text = st.sampled_from(["word " * 60, "ünïcödé\0" * 30, "".join(map(chr, range(32, 400)))])
message = st.sampled_from(
    [HumanMessage("A question? " * 20, id=f"m{number}") for number in range(3)]
    + [AIMessage(f"An answer. {number}", additional_kwargs={"citations": [{"n": number}]}) for number in range(3)]
)
scalar = st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=5) | st.binary(max_size=5)
value = st.one_of(
    scalar,
    long_text,
    st.binary(min_size=250, max_size=300),
    st.lists(scalar, max_size=4),
    st.lists(message, max_size=20),
    st.lists(message, min_size=16, max_size=16),  # a page exactly
    st.lists(st.one_of(scalar, long_text, message, st.just({"k": [1, {"x": None}]})), max_size=4),
    st.dictionaries(st.text(max_size=3), scalar | long_text | st.just([{"deep": ["er"]}]), max_size=3),
)
channel = st.sampled_from(["messages", "context", "n", "branch:to:x"])
changes = st.dictionaries(channel, value, max_size=3)
writes = st.lists(
    st.tuples(st.sampled_from(["messages", "context", ERROR, INTERRUPT, RESUME]), value), min_size=1, max_size=3
)
# Most of it in one place, so that much comes together there.
thread = st.sampled_from(("a", "a", *THREADS))
namespace = st.sampled_from(("", "", *NAMESPACES))
# Which checkpoint is meant: the newest is 0, the one before it 1, …; negative ones are ids that may not exist.
age = st.one_of(st.just(0), st.integers(0, 30), st.integers(-60, -1))
removals = st.sampled_from(["delete", "expire", "delete_for_runs", "prune", "copy", "lose_scripts"])

# Mostly none. A connection that was closed is opened anew and the command sent again, once: two cuts make a failure.
_CUTS: list[tuple[Cut | None, ...]] = [
    *((), (), (), (), (), ()),
    *(("before",), ("within",), ("after",)),
    *(("before", "before"), ("after", "after"), ("before", "after"), ("after", "within")),
    *((None, "after", "after"), (None, "before", "within")),
]
way = st.tuples(st.integers(0, 1), st.booleans(), st.sampled_from(_CUTS), st.booleans())  # see driver.Way


def spoil(spoilt: object, which: int) -> None:
    """Change one of the things that can be changed in *spoilt*, however deep it is."""
    found = list(_changeable(spoilt))
    if not found:
        return
    chosen = found[which % len(found)]
    if isinstance(chosen, BaseMessage):
        chosen.content = f"{chosen.content} changed"
    elif isinstance(chosen, dict):
        chosen["changed"] = [which]
    elif which % 2 and chosen:
        chosen.pop()
    else:
        chosen.append({"changed": which})


def _changeable(value: object) -> Iterator[Any]:
    if isinstance(value, BaseMessage):
        yield value
        yield from _changeable(value.additional_kwargs)
    elif isinstance(value, dict):
        yield value
        for inner in value.values():
            yield from _changeable(inner)
    elif isinstance(value, list):
        yield value
        for inner in value:
            yield from _changeable(inner)
