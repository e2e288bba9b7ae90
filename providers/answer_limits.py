"""How much of an endpoint's answer is read. Tenants name endpoints of their own, which may answer with anything.

What is parsed is parsed on the event loop: orjson keeps the interpreter's lock, so that a thread would hold it just as
long. So it is the number of values that is limited, before anything is made of them. 100,000 take some 5 ms; lists and
objects take more, and what collects garbage looks at each.
"""

from dataclasses import dataclass
from typing import Any

import orjson

from utils.outbound import AnswerTooLarge

LONGEST_ANSWER = 64_000  # characters of an answer that are shown
LARGEST_EVENT = 2**19  # bytes: all of an answer in one, each character written as \uXXXX
LARGEST_STREAM = LONGEST_ANSWER * 512  # bytes: an event a character, and the same again of thoughts
MAX_EVENTS = 4 * LONGEST_ANSWER
MAX_CALLS, LONGEST_ARGUMENTS = 64, 100_000  # calls of tools in an answer; characters of JSON, all together
_MAX_CONTAINERS = 25_000  # lists and objects in an answer, brackets in its texts among them
MAX_TOKENS = 10**9  # that a call may have cost: what is more is no usage


@dataclass(frozen=True, slots=True)
class AnswerLimits:
    """The limits of a whole answer: bytes, and values in its JSON, commas in its texts among them."""

    size_bytes: int
    values: int


CHAT = AnswerLimits(4 * 2**20, 100_000)
VECTORS = AnswerLimits(32 * 2**20, 600_000)  # 32 texts of 16,384 dimensions


def parse_answer(data: bytes, limits: AnswerLimits) -> Any:
    """The JSON in *data*.

    Raises:
        AnswerTooLarge: it has too many values.
        ValueError: it is no JSON, or nested more than a thousand times.
    """
    if data.count(b",") > limits.values or data.count(b"[") + data.count(b"{") > _MAX_CONTAINERS:
        raise AnswerTooLarge(f"more than {limits.values:,} values or {_MAX_CONTAINERS:,} lists and objects")
    return orjson.loads(data)


def is_count(value: object) -> bool:
    """Whether *value* is a number of tokens."""
    return type(value) is int and 0 <= value <= MAX_TOKENS
