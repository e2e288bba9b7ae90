"""What is told with an answer where another document shown for it says something else."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from agents.citations import Citation, bind_citations, without_marks
from agents.conflicts.comparison import Difference, find_differences
from prompts.conflicts import differ, side, undecided, verdict
from utils.passages import Hit, Passage
from utils.validity import choose

MOST_NOTED = 3  # conflicts of one answer
_LONGEST = 300  # characters of a sentence that is quoted


@dataclass(frozen=True, slots=True)
class Note:
    """What to add to an answer: the text, which begins with an empty line, the citations it brings, and the conflicts
    as the API gives them."""

    text: str
    citations: Sequence[Citation]
    conflicts: Sequence[dict[str, Any]]


NOTHING = Note("", (), ())


def note_conflicts(citations: Sequence[Citation], hits: Sequence[Hit], language: str) -> Note:
    """Where another of *hits* says something else than what an answer in *language* cites; passage n is `hits[n - 1]`.

    Each pair of passages once; at most `MOST_NOTED`.
    """
    found = list(_differences(citations, hits))[:MOST_NOTED]
    if not found:
        return NOTHING
    paragraphs, conflicts = [], []
    known = {citation.number for citation in citations}
    added: dict[int, Citation] = {}
    for one, other, difference in found:
        pair = [(one, difference.one.text), (other, difference.other.text)]
        for number, sentence in pair:
            if number not in known:
                added |= {
                    each.number: each for each in bind_citations(f"{without_marks(sentence)} [{number}]", hits)[1]
                }
        conflict = _describe(pair, difference, hits)
        conflicts.append(conflict)
        paragraphs.append(_write(conflict, language))
    return Note("".join(f"\n\n{each}" for each in paragraphs), list(added.values()), conflicts)


def _differences(citations: Sequence[Citation], hits: Sequence[Hit]) -> Iterator[tuple[int, int, Difference]]:
    """The numbers of two passages, the first one cited, with sentences of theirs that differ."""
    told: set[frozenset[int]] = set()
    for citation in citations:
        cited = hits[citation.number - 1].passage
        for number, hit in enumerate(hits, 1):
            pair = frozenset((citation.number, number))
            if len(pair) < len(("one", "other")) or pair in told:
                continue
            for difference in find_differences(cited, hit.passage):
                if difference.one.text in citation.quote or citation.quote in difference.one.text:
                    told.add(pair)
                    yield citation.number, number, difference
                    break


def _describe(pair: Sequence[tuple[int, str]], difference: Difference, hits: Sequence[Hit]) -> dict[str, Any]:
    passages = [hits[number - 1].passage for number, _ in pair]
    choice = choose(*map(_standing, passages))
    preferred = None if choice.preferred is None else passages[choice.preferred].document_id
    return {
        "kind": difference.kind,
        "statements": [
            _describe_side(number, sentence, passage)
            for (number, sentence), passage in zip(pair, passages, strict=True)
        ],
        "preferred_document_id": preferred,
        "decided_by": choice.decided_by,
    }


def _standing(passage: Passage) -> tuple[float, str | None]:
    return passage.precedence, passage.dated


def _describe_side(number: int, sentence: str, passage: Passage) -> dict[str, Any]:
    return {
        "number": number,
        "document_id": passage.document_id,
        "version": passage.version,
        "title": passage.title,
        "source": passage.source,
        "date": passage.dated,
        "precedence": passage.precedence,
        "sentence": sentence,
    }


def _write(conflict: dict[str, Any], language: str) -> str:
    """A conflict in words: both sentences with the titles and days of their documents, and which of them holds."""
    sides = conflict["statements"]
    is_same = sides[0]["title"] == sides[1]["title"]
    names = [each["source"] if is_same or not each["title"] else each["title"] for each in sides]
    quotes = [
        f"- {side(name, each['date'], language)}: {_shorten(each['sentence'])} [{each['number']}]"
        for name, each in zip(names, sides, strict=True)
    ]
    held = next(
        (
            name
            for name, each in zip(names, sides, strict=True)
            if each["document_id"] == conflict["preferred_document_id"]
        ),
        None,
    )
    days = [each["date"] for each in sides]
    last = undecided(days, language) if held is None else verdict(held, conflict["decided_by"], language)
    return f"{differ(language)}\n\n" + "\n".join(quotes) + f"\n\n{last}"


def _shorten(sentence: str) -> str:
    plain = " ".join(without_marks(sentence).split())  # a reader would take a mark of the document's for one of ours
    return plain if len(plain) <= _LONGEST else f"{plain[:_LONGEST].rstrip()}…"
