"""Marks in an answer bound to the passages they point at, each with the quote it rests on."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from utils.passages import Hit

_MARKS = re.compile(r"(\s*)\[(\d{1,3}(?:\s*,\s*\d{1,3})*)\]")
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+|\n+")
_LONGEST_QUOTE = 600  # characters
_WORD = re.compile(r"\w+")


@dataclass(frozen=True, slots=True)
class Citation:
    """What a mark `[number]` points at; `start` and `end` are the quote's place in the text of that version of the
    document. `version` is None for a document that is not kept here.
    """

    number: int
    document_id: str
    version: int | None
    title: str
    source: str
    page: int | None
    heading: str | None
    start: int
    end: int
    quote: str
    score: float
    url: str | None

    def as_dict(self) -> dict[str, Any]:
        """The citation as the API gives it."""
        return asdict(self)


def bind_citations(answer: str, hits: Sequence[Hit]) -> tuple[str, list[Citation]]:
    """The answer without marks that point at nothing, and a citation for each passage it rests on, in order of use.

    Passage n of the prompt is `hits[n - 1]`. A claim rests on what stands before its mark where the passage says it
    word for word, else on the passage's sentence that shares most words with it. The quote reaches from the first such
    place to the last, unless that is too long.
    """
    text = _MARKS.sub(lambda found: _valid_marks(found[1], found[2], len(hits)), answer)
    spans: dict[int, list[tuple[int, int]]] = {}
    for claim, numbers in _claims(text):
        for number in numbers:
            spans.setdefault(number, []).append(_supporting_span(claim, hits[number - 1].passage.text))
    return text, [_cite(number, _joined(found), hits[number - 1]) for number, found in spans.items()]


def without_marks(text: str) -> str:
    """The text without its `[n]` marks."""
    return _MARKS.sub("", text)


def _valid_marks(space: str, numbers: str, count: int) -> str:
    valid = [f"[{number}]" for number in map(int, numbers.split(",")) if 1 <= number <= count]
    return " " * bool(space and valid) + "".join(valid)


def _claims(text: str) -> Iterator[tuple[str, list[int]]]:
    """Pieces of the text with the marks that follow them: one piece may have several marks, `[1][2]`."""
    claim, at = "", 0
    numbers: list[int] = []
    for found in _MARKS.finditer(text):
        between = text[at : found.start()]
        if between.strip(" .,;:\n"):
            if numbers:
                yield claim, numbers
            claim, numbers = between, []
        numbers = [*numbers, int(found[2])]
        at = found.end()
    if numbers:
        yield claim, numbers


def _joined(spans: list[tuple[int, int]]) -> tuple[int, int]:
    start, end = min(start for start, _ in spans), max(end for _, end in spans)
    return (start, end) if end - start <= _LONGEST_QUOTE else max(spans, key=lambda span: span[1] - span[0])


def _cite(number: int, span: tuple[int, int], hit: Hit) -> Citation:
    passage, (start, end) = hit.passage, span
    return Citation(
        number=number,
        document_id=passage.document_id,
        version=passage.version,
        title=passage.title,
        source=passage.source,
        page=passage.page,
        heading=passage.heading or None,
        start=passage.start + start,
        end=passage.start + end,
        quote=passage.text[start:end],
        score=round(hit.score, 4),
        url=passage.url,
    )


def _supporting_span(claim: str, text: str) -> tuple[int, int]:
    quoted = claim.strip().removesuffix("…").rstrip()
    if quoted and (at := text.find(quoted)) >= 0:
        return at, at + len(quoted)
    wanted = _words(claim)
    return max(_sentences(text), key=lambda span: len(wanted & _words(text[slice(*span)])), default=(0, len(text)))


def _sentences(text: str) -> Iterator[tuple[int, int]]:
    at = 0
    for found in _SENTENCE_END.finditer(text):
        if text[at : found.start()].strip():
            yield at, found.start()
        at = found.end()
    if text[at:].strip():
        yield at, len(text.rstrip())


def _words(text: str) -> set[str]:
    return {word.casefold() for word in _WORD.findall(text)}
