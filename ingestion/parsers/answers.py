"""Answers of processes in the sandbox, checked, since a hostile file may have written them."""

from dataclasses import dataclass
from itertools import pairwise

from pydantic import TypeAdapter

from ingestion.parsers.parsed import (
    DATES,
    LONGEST_DATE,
    LONGEST_NOTE,
    LONGEST_TITLE,
    MAX_NOTES,
    UNWANTED,
    Limits,
    ParsedDocument,
    Target,
)

_LONGEST_REASON = 1_000


@dataclass(frozen=True, slots=True)
class Answer:
    """One of these, in the order in which they count."""

    document: ParsedDocument | None = None
    convert_to: Target | None = None
    converted_bytes: int | None = None
    refused: str | None = None
    too_large: bool = False
    broken: str | None = None
    height: int | None = None
    width: int | None = None


_ANSWER = TypeAdapter(Answer)


def read_answer(line: bytes, limits: Limits) -> Answer:
    """The answer in *line*.

    Raises:
        ValueError: it is none that our code gives.
    """
    answer = _ANSWER.validate_json(line, strict=True)
    if answer.document is not None:
        _check(answer.document, limits)
    if len(answer.refused or "") > _LONGEST_REASON:
        raise ValueError("The reason is too long.")
    return answer


def _check(document: ParsedDocument, limits: Limits) -> None:
    """Raises ValueError for a document that no parser makes."""
    ends = [0, *(end for section in document.sections for end in (section.start, section.body, section.end))]
    pages = [
        *document.unread_pages,
        *document.garbled_pages,
        *(section.page for section in document.sections if section.page is not None),
    ]
    sound = (
        len(document.text) <= limits.characters
        and len(document.title or "") <= LONGEST_TITLE
        and all(one <= other for one, other in pairwise([*ends, len(document.text)]))
        and all(0 < page <= limits.pages for page in pages)
        and not UNWANTED.search(document.text)
        and len(document.notes) <= MAX_NOTES
        and all(len(note) <= LONGEST_NOTE and not UNWANTED.search(note) for note in document.notes)
        and document.front_matter.keys() <= set(DATES)
        and all(len(value) <= LONGEST_DATE for value in document.front_matter.values())
    )
    if not sound:
        raise ValueError("It does not hold together.")
