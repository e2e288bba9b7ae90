"""A question set out of what people thought of answers, to be measured, or completed first."""

from collections.abc import Iterable, Sequence
from typing import Any

import yaml

from domain.models import AnswerRating

Json = dict[str, Any]
_SHOWN = 300  # characters of an answer that is to be judged again
_HEAD = "# Made of ratings. A question that came within a conversation may need words from before it.\n"
_OPEN = "# To be completed: give what is right as `answer` or `document`, or say `unanswerable: true`.\n"


def make_question_set(rows: Iterable[AnswerRating], *, with_good: bool) -> tuple[str, int, int]:
    """YAML as `evaluation.cases` reads it, how many questions are in it, and how many as comments to be completed.

    *rows*: the newest first; of several about one question the newest verdict counts, with the newest words about what
    would have been right. A bad answer becomes a question where somebody has said that; *with_good*, a good one too,
    which must go on citing its documents.
    """
    newest: dict[tuple[bool, str], AnswerRating] = {}
    for row in rows:
        key = row.stands_alone, " ".join(row.question.casefold().split())
        known = newest.setdefault(key, row)
        if row.expected and not known.expected and row.rating == known.rating:
            newest[key] = row
    selected = [row for row in newest.values() if row.rating == "down" or with_good]
    cases = [case for row in selected if (case := _make_case(row))]
    left = [row for row in selected if row.rating == "down" and not _make_case(row)]
    text = _HEAD + _dump({"name": "ratings", "questions": cases})
    if left:
        text += _OPEN + "".join(
            f"# {line}\n" for line in _dump([_make_incomplete_case(row) for row in left]).splitlines()
        )
    return text, len(cases), len(left)


def _make_case(row: AnswerRating) -> Json | None:
    """What must be found or said, None where nobody has told; only of a question that stands alone."""
    if not row.stands_alone:
        return None
    if row.expected:
        return {"question": row.question, "answer": row.expected}
    if row.rating == "down":
        return None
    return {"question": row.question, **({"document": row.sources} if row.answered else {"unanswerable": True})}


def _make_incomplete_case(row: AnswerRating) -> Json:
    facts = {
        "question": row.question,
        "within a conversation": None if row.stands_alone else True,
        "answer": row.expected,
        "was answered": row.answer[:_SHOWN],
        "from": row.sources,
        "comment": row.comment,
    }
    return {name: value for name, value in facts.items() if value}


def _dump(value: Json | Sequence[Json]) -> str:
    return str(yaml.safe_dump(value, allow_unicode=True, sort_keys=False, width=120))
