"""Marks in an answer bound to the passages they point at, each with the quote it rests on."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from functools import cached_property, lru_cache
from typing import Any

from providers.chat.sentences import sentence_spans
from utils.passages import Hit, Passage

Span = tuple[int, int]

_MARK = r"\[\d{1,3}(?:\s*,\s*\d{1,3})*\]"
_GAP, _TIGHT = rf"(?:\s|{_MARK})++", rf"(?:\s*+{_MARK})*+"
_MARKS = re.compile(r"(\s*)\[(\d{1,3}(?:\s*,\s*\d{1,3})*)\]")
_LONGEST_QUOTE = 600  # characters
_SEAM = 2  # characters
_KEPT = 512  # passages that are kept as they are compared, some 20 kB each: the same ones are cited again and again
_SHORT = 12  # characters; what is shorter is quoted with the sentence it stands in
_SHARE = 0.5
_WORD = re.compile(r"\w+")
_TOKEN = re.compile(r"\s+|\w+|[^\w\s]")
_ENDS = " .!?…\"'”’»)]"
# Models write their own quotation marks, hyphens and spaces for those of the document.
_OTHERS, _ALIKE = "“”„«»‘’‚‐‑‒–—\u00a0\u202f", '"""""\'\'\'-----  '
_SPELLING = str.maketrans(_OTHERS, _ALIKE)


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
        return {name: getattr(self, name) for name in _FIELDS}


_FIELDS = tuple(field.name for field in fields(Citation))


def bind_citations(answer: str, hits: Sequence[Hit]) -> tuple[str, list[Citation]]:
    """The answer without marks that point at nothing, and a citation for each passage it rests on, in order of use.

    Passage n of the prompt is `hits[n - 1]`. What stands before a mark rests on where the passage says it word for
    word, but for white space and the passage's own marks, as a whole or by sentences; else on the passage's sentence
    that is most like it. The quote reaches from the first such place to the last, unless that is too long or goes over
    a seam, and is always as it stands in the document.
    """
    text = _MARKS.sub(lambda found: _valid_marks(found[1], found[2], len(hits)), answer)
    spans: dict[int, list[Span]] = {}
    sources: dict[int, _Source] = {}
    for claim, numbers in _claims(text):
        for number in numbers:
            if number not in sources:
                sources[number] = _source_of(hits[number - 1].passage.text)
            spans.setdefault(number, []).extend(sources[number].spans(claim))
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
        # Marks that the whole text begins with are of what follows them.
        yield claim or text[at:], numbers


def _joined(spans: Sequence[Span]) -> Span:
    """From the first to the last of them, or of as many as do not make it too long."""
    known = sorted(set(spans))
    windows = []
    for start, end in known:
        together = [to for at, to in known if at >= start and to - start <= _LONGEST_QUOTE]
        windows.append((start, max(together, default=end)))
    return max(windows, key=lambda window: _covered(window, known))


def _covered(window: Span, spans: Sequence[Span]) -> int:
    return sum(end - start for start, end in spans if window[0] <= start and end <= window[1])


def _cite(number: int, span: Span, hit: Hit) -> Citation:
    passage = hit.passage
    start, end = _unbroken(passage, span)
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


def _unbroken(passage: Passage, span: Span) -> Span:
    """The longest part of *span* that goes over no seam of the passage."""
    start, end = span
    seams = [seam for seam in passage.seams if start < seam < end]
    starts, ends = [start, *(seam + _SEAM for seam in seams)], [*seams, end]
    return max(zip(starts, ends, strict=True), key=lambda part: part[1] - part[0])


class _Source:
    """A passage in which the words of claims are looked for; its sentences are found when they are needed."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._plain = _spelling(text)
        self._folded = _folded(self._plain)

    @cached_property
    def _sentences(self) -> list[Span]:
        return list(sentence_spans(self._text)) or [(0, len(self._text))]

    @cached_property
    def _words(self) -> list[set[str]]:
        return [_words(self._plain[start:end]) for start, end in self._sentences]

    def spans(self, claim: str) -> list[Span]:
        """What the claim rests on; never empty. What is only like a sentence of it has half of the sentence's words."""
        claim = _spelling(claim).replace("**", "").replace("`", "").lstrip(" \n\t.,;:")
        if whole := self._verbatim(claim):
            return [whole]
        found = []
        for start, end in sentence_spans(claim):
            span, share = self._verbatim(claim[start:end]), 1.0
            if span is None:
                span, share = self._most_alike(claim[start:end])
            if share >= _SHARE:
                found.append(span)
        return found or [self._most_alike(claim)[0]]

    def _verbatim(self, claim: str) -> Span | None:
        """Where the claim stands, with or without what it ends with: marks take the place of full stops."""
        for words in (claim.rstrip(), claim.rstrip(" \n\t.,;:…")):
            folded = _folded(words)
            if folded and folded in self._folded and (found := _spelt(words).search(self._plain)):
                return self._whole(found.span(), is_short=len(folded) < _SHORT)
        return None

    def _whole(self, span: Span, *, is_short: bool) -> Span:
        """The span with what closes its last sentence; a short one with all of the sentences it is in."""
        start, end = span
        touched = [(at, to) for at, to in self._sentences if at < end and to > start]
        if not touched:
            return span
        last = touched[-1][1]
        if is_short:
            return touched[0][0], last
        return (start, max(end, last)) if not _MARKS.sub("", self._text[end:last]).strip(_ENDS) else span

    def _most_alike(self, claim: str) -> tuple[Span, float]:
        """The sentence with most of the claim's words, rare ones before common ones, and its share of them."""
        wanted = _words(claim)
        frequency = Counter(word for words in self._words for word in words & wanted)
        scores = [sum(_weight(word) / frequency[word] for word in words & wanted) for words in self._words]
        best = max(range(len(scores)), key=scores.__getitem__)
        return self._sentences[best], len(self._words[best] & wanted) / max(1, len(wanted))


@lru_cache(_KEPT)
def _source_of(text: str) -> _Source:
    return _Source(text)


def _spelling(text: str) -> str:
    """The text with plain quotation marks, hyphens and spaces, as long as it was, so that places are the same."""
    return text if text.isascii() else text.translate(_SPELLING)


def _folded(text: str) -> str:
    return " ".join(_MARKS.sub("", text).split()).casefold()


def _spelt(claim: str) -> re.Pattern[str]:
    """The claim as the passage may have it: with other white space, and marks of its own between the words.

    Nothing in it is tried twice: a passage may consist of marks.
    """
    spelt, is_word = [], False
    for piece in _TOKEN.findall(_MARKS.sub("", claim)):
        if piece.isspace():
            spelt.append(_GAP)
        else:
            spelt += [_TIGHT] * is_word + [re.escape(piece)]
        is_word = not piece.isspace()
    return re.compile(rf"(?<!\w){''.join(spelt)}(?!\w)", re.IGNORECASE)


def _weight(word: str) -> int:
    return 2 if any(map(str.isdigit, word)) else 1


def _words(text: str) -> set[str]:
    return {word.casefold() for word in _WORD.findall(text)}
