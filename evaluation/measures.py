"""What is measured of each question, and of all of them together, with how sure that is."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from evaluation.asking import Outcome, Shown
from evaluation.cases import Case
from utils.normal_forms import normalize

RESAMPLES = 2000
Measured = dict[str, float]


@dataclass(frozen=True, slots=True)
class Figure:
    """The mean over *n* questions, with the range in which 95 of 100 samples of them would have it (bootstrap)."""

    value: float
    low: float
    high: float
    n: int


def measured(case: Case, outcome: Outcome) -> Measured:
    """The figures of one question, each 0 to 1; only those that it has a say in.

    recall@k, mrr@10, ndcg@10: the place of the first right passage (one is enough, so the ideal gain is 1)
    answered_present: an answerable question is not refused   refused_absent: an unanswerable one is
    refused_near_miss, refused_far: the same for the two kinds of those
    answer_contained: the answer holds one of the strings that count; a refusal does not
    citation_precision: the part of its quotes that are of a right document
    quote_holds_answer: one of its quotes holds such a string
    sentences_supported: the part of its sentences that is supported by what they cite, as the service judged them
    """
    if case.unanswerable:
        kind = "refused_near_miss" if case.near_miss else "refused_far"
        return {"refused_absent": float(not outcome.answered), kind: float(not outcome.answered)}
    place = next((n for n, each in enumerate(outcome.passages[:10]) if _is_right(case, each)), None)
    figures = {f"recall@{k}": float(place is not None and place < k) for k in (1, 5, 10)}
    figures["mrr@10"] = 0.0 if place is None else 1 / (place + 1)
    figures["ndcg@10"] = 0.0 if place is None else 1 / math.log2(place + 2)
    figures["answered_present"] = float(outcome.answered)
    return figures | (_of_answer(case, outcome) if outcome.answer is not None else {})


def _of_answer(case: Case, outcome: Outcome) -> Measured:
    figures = {} if outcome.supported is None else {"sentences_supported": outcome.supported}
    if case.answer:
        figures["answer_contained"] = float(_holds(case, outcome.answer or ""))
    if outcome.quotes:
        if case.document:
            right = [_is_of_document(case, quote) for quote in outcome.quotes]
            figures["citation_precision"] = sum(right) / len(right)
        if case.answer:
            figures["quote_holds_answer"] = float(any(_holds(case, quote.text) for quote in outcome.quotes))
    return figures


def sum_up(cases: Sequence[Case], rows: Sequence[Measured]) -> dict[str, dict[str, Figure]]:
    """The figures of all questions, under `all`, and of those in each language under its code."""
    groups = {"all": list(rows)}
    for case, row in zip(cases, rows, strict=True):
        if case.language:
            groups.setdefault(case.language, []).append(row)
    return {name: _figures(of_group) for name, of_group in sorted(groups.items())}


def _figures(rows: Sequence[Measured]) -> dict[str, Figure]:
    names = dict.fromkeys(name for row in rows for name in row)
    return {name: figure([row[name] for row in rows if name in row]) for name in names}


def figure(values: Sequence[float]) -> Figure:
    """The mean of *values* with its range; the same values give the same range."""
    drawn = np.asarray(values, dtype=np.float64)
    low, high = spread(drawn)
    return Figure(round(float(drawn.mean()), 4), round(low, 4), round(high, 4), len(values))


def spread(values: np.ndarray[tuple[int], np.dtype[np.float64]]) -> tuple[float, float]:
    """The 2.5th and 97.5th percentile of the means of samples drawn from *values* with replacement."""
    chance = np.random.default_rng(7)
    means = [float(values[chance.integers(0, len(values), len(values))].mean()) for _ in range(RESAMPLES)]
    low, high = np.percentile(means, (2.5, 97.5))
    return float(low), float(high)


def find_missed_floors(figures: Mapping[str, Mapping[str, Figure]], floors: Mapping[str, float]) -> list[str]:
    """A line for each floor that is missed: `recall@5` is of all questions, `id.recall@5` of those in Indonesian."""
    missed = []
    for name, floor in floors.items():
        group, _, measure = name.rpartition(".")
        found = figures.get(group or "all", {}).get(measure)
        if found is None:
            missed.append(f"{name}: no question of the set measures it")
        elif found.value < floor:
            missed.append(f"{name}: {found.value:.4f} is under {floor:.4f}")
    return missed


def _is_right(case: Case, shown: Shown) -> bool:
    return _is_of_document(case, shown) and _holds(case, shown.text)


def _is_of_document(case: Case, shown: Shown) -> bool:
    if not case.document:
        return True
    return any(name in shown.document or f"/{shown.source}".endswith(f"/{name}") for name in case.document)


def _holds(case: Case, text: str) -> bool:
    if not case.answer:
        return True
    plain = _plain(text)
    return any(_plain(answer) in plain for answer in case.answer)


def _plain(text: str) -> str:
    return re.sub(r"\s+", " ", normalize("NFKC", text).casefold()).strip()
