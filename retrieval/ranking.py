"""What the adapters of Qdrant's engine share: how passages lie in it, who proposes them, and how they are ranked."""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from itertools import repeat
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from auth.principal import Principal
from retrieval.fusion import Scores, fuse, level_scores
from utils.language import detect_language
from utils.passages import Hit, Passage
from utils.ports import FloatArray
from utils.validity import PRECEDENCE, VALID_FROM, VALID_UNTIL

T = TypeVar("T")
# How a point is named while it is ranked: text or a number in the same order. A UUID is 10 times dearer to sort, and is
# hashed in Python.
P = TypeVar("P", str, int)

# Names of the vectors and of the payload fields that are filtered by.
WORDS, MEANING = "words", "meaning"
TENANT, DOCUMENT, LANGUAGE = "tenant_id", "document_id", "language"
DATASET, LABELS = "dataset_id", "labels"
FILTERED = (TENANT, DOCUMENT, LANGUAGE, DATASET, LABELS)
DAYS = (VALID_FROM, VALID_UNTIL)  # are filtered by, too, as days
# What may change of a document that says the same as before.
DESCRIBING = (LABELS, "dated", *DAYS, PRECEDENCE)
PASSAGE = "passage_id"
MAX_TENANTS = 100_000  # whose passages can be told apart
LANGUAGES_APART = 8  # passages in rarer languages are found by their words
# How many each ranking proposes; every proposal is then scored by both. R@1 on squad_en: 20 .855, 50 .860, 100 .865.
CANDIDATES = 100

LONGEST_PASSAGE = 32_000  # characters: of the largest that CHUNK_MAX_TOKENS allows

_MADE_LATER = ("seams", "table")  # by reading, and of results of tools
_PASSAGE_FIELDS = [item.name for item in fields(Passage) if item.name not in _MADE_LATER]


@dataclass(slots=True)
class Candidates(Generic[P]):
    """Points proposed for a question with their scores; `languages` of those that have a dense one at least."""

    lexical: dict[P, float] = field(default_factory=dict)
    dense: dict[P, float] = field(default_factory=dict)
    languages: dict[P, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Ranked(Generic[P]):
    """A point with its scores, as in `Hit`."""

    point: P
    score: float
    dense: float | None
    lexical: float
    dense_rank: int | None
    lexical_rank: int | None


def make_point_id(ctx: Principal, passage_id: str) -> uuid.UUID:
    """A point of this tenant alone, so that the same passage id of two tenants is two points."""
    return uuid.uuid5(uuid.NAMESPACE_OID, f"{ctx.tenant_id}\n{passage_id}")


def make_payload(ctx: Principal, passage: Passage) -> dict[str, Any]:
    """What is stored beside the vectors: the passage's fields and the tenant."""
    fields = {name: value for name, value in asdict(passage).items() if name in _PASSAGE_FIELDS}
    return fields | {TENANT: ctx.tenant_id, LABELS: list(passage.labels)}


def make_description(passage: Passage) -> dict[str, Any]:
    """The `DESCRIBING` fields of *passage* as they are stored."""
    return {name: getattr(passage, name) for name in DESCRIBING} | {LABELS: list(passage.labels)}


def parse_passage(payload: Mapping[str, Any] | None) -> Passage:
    """The passage in a payload that `make_payload` made, also before passages had all the fields they have now."""
    fields = payload or {}
    named = {name: fields[name] for name in _PASSAGE_FIELDS if name in fields}
    if len(text := named.get("text", "")) > LONGEST_PASSAGE:  # of before chunks had a limit
        named |= {"text": text[:LONGEST_PASSAGE], "end": named["start"] + LONGEST_PASSAGE}
    return Passage(**named | {LABELS: tuple(fields.get(LABELS, ()))})


def require_fitting(vectors: Mapping[str, FloatArray], dimension: int) -> None:
    """Nothing, if every vector by passage id has *dimension* finite numbers.

    Raises:
        ValueError: one has not.
    """
    for passage_id, vector in vectors.items():
        if vector.shape != (dimension,) or not np.isfinite(vector).all():
            raise ValueError(f"Passage {passage_id} needs a vector of {dimension} finite numbers.")


def rank(result: Candidates[P], question: str, *, limit: int) -> list[Ranked[P]]:
    """The best *limit* candidates by fused score, best first; equals in an order that is always the same."""
    points = sorted(result.lexical.keys() | result.dense.keys())
    lexical = np.array(list(map(result.lexical.get, points, repeat(0.0))))
    dense = np.array(list(map(result.dense.get, points, repeat(np.nan))))
    spoken = list(map(result.languages.get, points, repeat("")))
    fused = fuse(lexical, level_scores(dense, spoken), _find_foreign(spoken, question))
    best = np.argsort(-fused, kind="stable")[:limit]
    places = zip(_rank_places(dense, best), _rank_places(lexical, best), strict=True)
    return [
        Ranked(
            points[at],
            float(fused[at]),
            result.dense.get(points[at]),
            float(lexical[at]),
            None if np.isnan(dense[at]) else dense_place,
            lexical_place if lexical[at] else None,
        )
        for at, (dense_place, lexical_place) in zip(best.tolist(), places, strict=True)
    ]


def _rank_places(scores: Scores, of: NDArray[np.intp]) -> list[int]:
    """The places, from 1 on, that those at *of* have among *scores*."""
    places: list[int] = (1 + (scores > scores[of, None]).sum(axis=1)).tolist()
    return places


def _find_foreign(spoken: Sequence[str], question: str) -> NDArray[np.bool_] | None:
    """Which candidates are in another language than *question*, given what is *spoken* in each; None for none."""
    question_language = detect_language(question, default="")
    if not question_language or not any(spoken):
        return None
    foreign = {language: bool(language and language != question_language) for language in set(spoken)}
    return np.array(list(map(foreign.__getitem__, spoken)), dtype=bool)


def make_hits(ranked: Sequence[Ranked[P]], passages: Mapping[P, Passage]) -> list[Hit]:
    """*ranked* with their passages, in the same order; points that are not in *passages* are left out."""
    return [
        Hit(passages[item.point], item.score, item.dense, item.lexical, item.dense_rank, item.lexical_rank)
        for item in ranked
        if item.point in passages
    ]
