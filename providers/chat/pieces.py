"""Pieces of a streamed answer that have come in together, as one: each costs the same, however short it is."""

from collections.abc import Iterable, Iterator
from typing import Any

Json = dict[str, Any]


def joined(events: Iterable[Json]) -> Iterator[Json]:
    """*events* in order, runs of those that only add text made one; the first of a run is changed."""
    held: Json | None = None
    for event in events:
        if (text := _plain_text(event)) is None:
            if held is not None:
                yield held
            held = None
            yield event
        elif held is None:
            held = event
        else:
            held["choices"][0]["delta"]["content"] += text
    if held is not None:
        yield held


def _plain_text(event: Json) -> str | None:
    """The text that is all *event* says, None if it says anything else."""
    match event:
        case {"choices": [{"delta": {"content": str(text), **delta}, **choice}]} if not event.get("usage"):
            silent = not choice.get("finish_reason") and not choice.get("logprobs")
            return text if silent and delta.keys() <= {"role"} else None
    return None
