"""A citation for each mark `[n]` of an answer: the passage it points at, and the quote that supports the text."""

import re
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from functools import cached_property, lru_cache
from itertools import islice
from typing import Any

from agents.verbatim import SPACED_MARK, FoldedText, Span
from providers.chat.sentences import sentence_spans
from utils.passages import Hit, Passage

_MARKS = re.compile(SPACED_MARK)
# Longer than any year, code or mark: a model has made it up.
_NO_MARKS = re.compile(r"(?<!\s)\s*+\[\d{10,}+\]")
_NUMBER = re.compile(r"\d+")
_MAX_NESTED = 4
_LONGEST_QUOTE = 800  # characters: a table and what is quoted with it
_SEAM = 2  # characters
# Of an answer, whatever it holds: what is looked for in its passages, and what of a passage is compared with it.
_MAX_SEARCHES, _MAX_SENTENCES, _MAX_PLACES = 500, 500, 200
_LONGEST_CLOSING = 200  # characters of marks and quotes behind a sentence
_KEPT = 512  # passages that are kept as they are compared, some 20 kB each: the same ones are cited again and again
_SHORT = 12  # characters; what is shorter is quoted with the sentence it stands in
_SHARE = 0.5
_WORD = re.compile(r"\w+")
_ENDS = " .!?…\"'”’»)]"
# Models write their own quotation marks, hyphens and spaces for those of the document.
_OTHERS, _ALIKE = "“”„«»‘’‚‐‑‒–—\u00a0\u202f", '"""""\'\'\'-----  '
_SPELLING = str.maketrans(_OTHERS, _ALIKE)


@dataclass(frozen=True, slots=True)
class Citation:
    """What a mark `[number]` points at; `start` and `end` are the quote's place in the text of that version of the
    document. `version` is None for a document that is not kept here. `query` gave what is cited, None for a document.
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
    language: str | None
    query: str | None

    def as_dict(self) -> dict[str, Any]:
        """The citation as the API gives it."""
        return {name: getattr(self, name) for name in _FIELDS}


_FIELDS = tuple(field.name for field in fields(Citation))


def make_citations(answer: str, hits: Sequence[Hit]) -> tuple[str, list[Citation]]:
    """The answer without marks that point at nothing, and a citation for each passage it rests on, in order of use.

    Passage n of the prompt is `hits[n - 1]`. The text before a mark is looked for in the passage, as a whole and then
    by sentences; white space and the passage's own marks do not count. Where none is found, the most similar sentence
    is taken. The quote reaches from the first such place to the last, unless that is too long or crosses a place where
    two neighbouring passages were joined (`Passage.seams`). It always stands in the document as it is quoted.
    """
    text = _remove_invalid_marks(answer, len(hits))
    spans: dict[int, list[Span]] = {}
    budget = _MAX_SEARCHES
    for words, numbers in _iter_claims(text, len(hits)):
        if budget <= 0 and spans.keys() >= set(numbers):
            continue
        claim = _Claim(words, most=max(1, budget))
        for number in numbers:
            spans.setdefault(number, []).extend(_make_source(hits[number - 1].passage.text).find_spans(claim))
            budget -= claim.search_count
    return text, [_cite(number, _join_spans(result), hits[number - 1]) for number, result in spans.items()]


def remove_marks(text: str) -> str:
    """The text without its `[n]` marks."""
    return _MARKS.sub("", text)


def _remove_invalid_marks(answer: str, count: int) -> str:
    """*answer* without marks of more passages than *count*, also without those that come about thereby: `[[9]8]`."""
    for _ in range(_MAX_NESTED):
        text = _NO_MARKS.sub("", _MARKS.sub(lambda found: _select_valid_marks(found[0], count), answer))
        if text == answer:
            break
        answer = text
    return answer


def _select_valid_marks(marks: str, count: int) -> str:
    valid = [f"[{number}]" for number in map(int, _NUMBER.findall(marks)) if 1 <= number <= count]
    return " " * bool(not marks.startswith("[") and valid) + "".join(valid)


def _iter_claims(text: str, count: int) -> Iterator[tuple[str, Iterable[int]]]:
    """Pieces of the text with the marks that follow them: one piece may have several marks, `[1][2]`, each once."""
    claim, at = "", 0
    numbers: dict[int, None] = {}
    for match in _MARKS.finditer(text):
        number = int(match[0].strip().strip("[]").partition(",")[0])
        if not 1 <= number <= count:
            continue
        between = text[at : match.start()]
        if between.strip(" .,;:\n"):
            if numbers:
                yield claim, numbers
            claim, numbers = between, {}
        numbers[number] = None
        at = match.end()
    if numbers:
        # Marks that the whole text begins with are of what follows them.
        yield claim or text[at:], numbers


def _join_spans(spans: Sequence[Span]) -> Span:
    """From the first to the last of them, or of as many as do not make it too long."""
    places = sorted(set(spans))[:_MAX_PLACES]
    windows = []
    for start, end in places:
        together = [to for at, to in places if at >= start and to - start <= _LONGEST_QUOTE]
        windows.append((start, max(together, default=end)))
    return max(windows, key=lambda window: _count_covered(window, places))


def _count_covered(window: Span, spans: Sequence[Span]) -> int:
    return sum(end - start for start, end in spans if window[0] <= start and end <= window[1])


def _cite(number: int, span: Span, hit: Hit) -> Citation:
    passage = hit.passage
    start, end = _find_longest_unbroken(passage, span)
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
        language=passage.language or None,
        query=passage.table.sql if passage.table else None,
    )


def _find_longest_unbroken(passage: Passage, span: Span) -> Span:
    """The longest part of *span* that crosses no seam of the passage."""
    start, end = span
    seams = [seam for seam in passage.seams if start < seam < end]
    starts, ends = [start, *(seam + _SEAM for seam in seams)], [*seams, end]
    return max(zip(starts, ends, strict=True), key=lambda part: part[1] - part[0])


class _Claim:
    """What stands before a mark, and its sentences, *most* of them, as they are looked for in passages."""

    def __init__(self, words: str, *, most: int) -> None:
        self.words = _normalize_spelling(words).replace("**", "").replace("`", "").lstrip(" \n\t.,;:")
        self._most = most
        self.forms = _list_forms(self.words)

    @cached_property
    def sentences(self) -> list[tuple[str, list[FoldedText]]]:
        """Its sentences, each with the forms in which it may stand in a passage."""
        spans = islice(sentence_spans(self.words), self._most)
        return [(words, _list_forms(words)) for words in (self.words[start:end] for start, end in spans)]

    @property
    def search_count(self) -> int:
        """Searches made for it; they count against the limit of an answer."""
        return 1 + len(self.__dict__.get("sentences", ()))


def _list_forms(words: str) -> list[FoldedText]:
    """With and without what it ends with: marks take the place of full stops."""
    return [FoldedText(form) for form in dict.fromkeys((words.rstrip(), words.rstrip(" \n\t.,;:…")))]


class _Source:
    """A passage in which the words of claims are looked for; its sentences are found when they are needed."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._plain = _normalize_spelling(text)
        self._folded = FoldedText(self._plain)

    @cached_property
    def _sentences(self) -> list[Span]:
        return list(islice(sentence_spans(self._text), _MAX_SENTENCES)) or [(0, len(self._text))]

    @cached_property
    def _ends(self) -> list[int]:
        return [end for _, end in self._sentences]

    @cached_property
    def _words(self) -> list[set[str]]:
        return [_find_words(self._plain[start:end]) for start, end in self._sentences]

    def find_spans(self, claim: _Claim) -> list[Span]:
        """What the claim rests on; never empty. What is only like a sentence of it has half of the sentence's words."""
        if whole := self._find_verbatim(claim.forms):
            return [whole]
        spans = []
        for words, forms in claim.sentences:
            span, share = self._find_verbatim(forms), 1.0
            if span is None:
                span, share = self._find_most_alike(words)
            if share >= _SHARE:
                spans.append(span)
        return spans or [self._find_most_alike(claim.words)[0]]

    def _find_verbatim(self, forms: Iterable[FoldedText]) -> Span | None:
        """Where the claim stands, in one of its *forms*."""
        for form in forms:
            if (span := self._folded.find(form)) is not None:
                return self._complete_span(span, is_short=len(form.folded.strip().casefold()) < _SHORT)
        return None

    def _complete_span(self, span: Span, *, is_short: bool) -> Span:
        """The span with what closes its last sentence; a short one with all of the sentences it is in."""
        start, end = span
        first = bisect_right(self._ends, start)
        touched = [each for each in self._sentences[first : bisect_left(self._ends, end) + 1] if each[0] < end]
        if not touched:
            return span
        last = touched[-1][1]
        if is_short:
            return touched[0][0], last
        closes = last - end <= _LONGEST_CLOSING and not _MARKS.sub("", self._text[end:last]).strip(_ENDS)
        return (start, max(end, last)) if closes else span

    def _find_most_alike(self, claim: str) -> tuple[Span, float]:
        """The sentence with most of the claim's words, rare ones before common ones, and its share of them."""
        claim_words = _find_words(claim)
        shared = [words & claim_words for words in self._words]
        frequency = Counter(word for words in shared for word in words)
        scores = [sum(_weigh_word(word) / frequency[word] for word in words) for words in shared]
        best = max(range(len(scores)), key=scores.__getitem__)
        return self._sentences[best], len(shared[best]) / max(1, len(claim_words))


@lru_cache(_KEPT)
def _make_source(text: str) -> _Source:
    return _Source(text)


def _normalize_spelling(text: str) -> str:
    """The text with plain quotation marks, hyphens and spaces, as long as it was, so that places are the same."""
    return text if text.isascii() else text.translate(_SPELLING)


def _weigh_word(word: str) -> int:
    return 2 if any(map(str.isdigit, word)) else 1


def _find_words(text: str) -> set[str]:
    return {word.casefold() for word in _WORD.findall(text)}
