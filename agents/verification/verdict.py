"""What a check comes to: for each sentence and for the whole answer, as plain values that can be stored and sent."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, Literal

Status = Literal["supported", "unsupported", "unverified"]
Method = Literal["words", "meaning", "entailment", "judge", "none"]
Policy = Literal["mark", "drop", "refuse"]
"""What becomes of sentences that are not supported: `mark` says so of each; `drop` leaves them out, before anybody sees
them; `refuse` gives no answer that has one."""


@dataclass(frozen=True, slots=True)
class SentenceVerdict:
    """Whether a sentence is supported, 0 to 1 how well, why in plain words, and by what that was found out."""

    status: Status
    score: float
    reason: str
    method: Method = "words"


@dataclass(frozen=True, slots=True)
class SentenceSupport:
    """A finding with the place of its sentence in the answer, its marks included, and the passages it was held to."""

    start: int
    end: int
    status: Status
    score: float
    reason: str
    method: Method
    sources: tuple[int, ...]


def report(sentences: Sequence[SentenceSupport], *, dropped: int = 0) -> dict[str, Any]:
    """The support of an answer as the API gives it and messages keep it.

    `supported_share` is that among the sentences that say something checkable, None where none does; those that were
    dropped count as not supported.
    """
    counts: dict[str, int] = {status: sum(each.status == status for each in sentences) for status in _STATUSES}
    checked = counts["supported"] + counts["unsupported"] + dropped
    checked += sum(each.status == "unverified" and each.method != "none" for each in sentences)
    share = round(counts["supported"] / checked, 4) if checked else None
    return {
        "supported_share": share,
        "total": share,  # its old name
        **{f"{name}_count": count for name, count in counts.items()},
        **counts,  # their old names
        "dropped_count": dropped,
        "dropped": dropped,  # its old name
        "sentences": [
            {name: getattr(each, name) for name in _PLAIN} | {key: list(each.sources) for key in _NUMBERS}
            for each in sentences
        ],
    }


def shift(support: dict[str, Any], by: int) -> dict[str, Any]:
    """*support* of a text before which *by* characters stand now."""
    sentences = [{**each, "start": each["start"] + by, "end": each["end"] + by} for each in support["sentences"]]
    return {**support, "sentences": sentences} if by else support


_PLAIN = tuple(field.name for field in fields(SentenceSupport) if field.name != "sources")
_NUMBERS = ("citation_numbers", "sources")  # the second is its old name
_STATUSES: tuple[Status, ...] = ("supported", "unsupported", "unverified")
