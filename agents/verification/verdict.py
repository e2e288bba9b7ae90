"""What a check comes to: for each sentence and for the whole answer, as plain values that can be stored and sent."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, Literal

from agents.verification.figures.checking import CheckedFigure
from utils.passages import Hit

Status = Literal["supported", "unsupported", "unverified"]
Method = Literal["words", "figures", "meaning", "entailment", "judge", "none"]
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
    """A finding with the place of its sentence in the answer, its marks included, and the passages it was held to.

    `figures`: those of the sentence, where it rests on the result of a query.
    """

    start: int
    end: int
    status: Status
    score: float
    reason: str
    method: Method
    sources: tuple[int, ...]
    figures: tuple[CheckedFigure, ...] = ()


def report(sentences: Sequence[SentenceSupport], *, dropped: int = 0, hits: Sequence[Hit] = ()) -> dict[str, Any]:
    """The support of an answer, which rests on *hits*, as the API gives it and messages keep it.

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
        "sentences": [_describe(each) for each in sentences],
        **({"queries": queries} if (queries := _list_queries(hits)) else {}),
    }


def _describe(each: SentenceSupport) -> dict[str, Any]:
    fields = {name: getattr(each, name) for name in _PLAIN} | {key: list(each.sources) for key in _NUMBERS}
    return {**fields, "figures": [figure.as_dict() for figure in each.figures]} if each.figures else fields


def _list_queries(hits: Sequence[Hit]) -> list[dict[str, Any]]:
    """The queries whose results figures are held to, by their marks, with the rows that cells are counted in."""
    tables = {number: hit.passage.table for number, hit in enumerate(hits, 1)}
    return [
        {
            "number": number,
            "data_source": table.source_name,
            "sql": table.sql,
            "columns": [column.name for column in table.columns],
            "rows": [list(row) for row in table.rows],
            "row_count": table.row_count,
            "truncated": table.truncated,
        }
        for number, table in tables.items()
        if table is not None
    ]


def shift(support: dict[str, Any], by: int) -> dict[str, Any]:
    """*support* of a text before which *by* characters stand now."""
    sentences = [{**each, "start": each["start"] + by, "end": each["end"] + by} for each in support["sentences"]]
    return {**support, "sentences": sentences} if by else support


_PLAIN = tuple(field.name for field in fields(SentenceSupport) if field.name not in ("sources", "figures"))
_NUMBERS = ("citation_numbers", "sources")  # the second is its old name
_STATUSES: tuple[Status, ...] = ("supported", "unsupported", "unverified")
