"""What the fake model server says: worked out from the request alone, so that a test knows what must come back."""

import hashlib
import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

Message = dict[str, Any]

_MARK = re.compile(r"\bmk[0-9a-z]{8}\b")
_PASSAGE = re.compile(r'<passage number="1"[^>]*>\n(.*?)\n</passage>|^\[1\]\s+(.+?)$', re.DOTALL | re.MULTILINE)
_FIRST_SENTENCE = re.compile(r".{20,300}?(?=[.!?](?:\s|$))|.{1,300}", re.DOTALL)
_CITATION = re.compile(r"\s*\[\d+\]")
_WORD = re.compile(r"\w+")
_SPREAD = 4  # positions of a vector that one word touches
FILLER = ("lorem", "ipsum", "dolor", "sit", "amet", "kampus", "kuliah", "biaya")


def text_of(message: Message) -> str:
    """A message's text, whether its content is a string, a list of parts or null."""
    content = message.get("content") or ""
    if isinstance(content, str):
        return content
    return "".join(part.get("text", "") if isinstance(part, dict) else str(part) for part in content)


def history_digest(texts: Sequence[str]) -> str:
    """Eight hexadecimal digits for the assistant's earlier answers, in order; a client can compute the same.

    Citation marks and white space do not count: a service may take old marks out, as they point at nothing any more.
    """
    plain = [" ".join(_CITATION.sub("", text).split()) for text in texts]
    return hashlib.sha256("\x1e".join(plain).encode()).hexdigest()[:8]


def echo(messages: Sequence[Message]) -> str:
    """One word-like token that proves what was sent: messages by role, digest of the assistant's, marks of the user's.

    `echo n=4 s=1 u=2 a=1 h=1c0d… m=mk…,mk…;` where a mark is any word of `mk` and 8 letters or digits in a user
    message, each listed once, in the order of first appearance.
    """
    by_role: dict[str, list[str]] = {"system": [], "user": [], "assistant": []}
    for message in messages:
        role = "system" if message.get("role") == "developer" else str(message.get("role"))
        by_role.setdefault(role, []).append(text_of(message))
    marks = dict.fromkeys(mark for text in by_role["user"] for mark in _MARK.findall(text))
    return (
        f"echo n={len(messages)} s={len(by_role['system'])} u={len(by_role['user'])} a={len(by_role['assistant'])} "
        f"h={history_digest(by_role['assistant'])} m={','.join(marks)};"
    )


def first_quote(messages: Sequence[Message]) -> str:
    """The first sentence of passage 1, cited, as `The office opens at 8:00 [1].`; empty without passages."""
    for message in messages:
        if message.get("role") != "assistant" and (found := _PASSAGE.search(text_of(message))):
            sentence = _FIRST_SENTENCE.match((found[1] or found[2]).strip())
            return f"{sentence[0].rstrip(' .!?')} [1]." if sentence else ""
    return ""


def answer_tokens(messages: Sequence[Message], *, at_least: int) -> list[str]:
    """The answer in tokens: the echo and a cited quote; padded to *at_least* tokens."""
    tokens = [echo(messages), *(" " + word for word in first_quote(messages).split(" ") if word)]
    tokens += [" " + FILLER[number % len(FILLER)] for number in range(len(tokens), at_least)]
    return tokens


def split_tokens(text: str, characters: int = 0) -> list[str]:
    """*text* in pieces of so many *characters* or of one word each, that joined give it back; never an empty list."""
    if characters and text:
        return [text[start : start + characters] for start in range(0, len(text), characters)]
    return re.findall(r"\s*\S+|\s+\Z", text) or [""]


def embedding(text: str, dimension: int) -> NDArray[np.float32]:
    """A unit vector that is the same for the same words; texts that share words have a positive cosine. Marks are none.

    Feature hashing: https://doi.org/10.1145/1553374.1553516
    """
    vector = np.zeros(dimension, dtype=np.float32)
    for word in _WORD.findall(_MARK.sub("", text.lower())):
        for position, sign in _places(word, dimension):
            vector[position] += sign
    if not vector.any():
        vector[0] = 1.0
    unit: NDArray[np.float32] = vector / np.linalg.norm(vector)
    return unit


@lru_cache(maxsize=65536)
def _places(word: str, dimension: int) -> tuple[tuple[int, float], ...]:
    digest = hashlib.sha256(word.encode()).digest()
    numbers = [int.from_bytes(digest[start : start + 4]) for start in range(0, 4 * _SPREAD, 4)]
    return tuple((number // 2 % dimension, 1.0 if number % 2 else -1.0) for number in numbers)
