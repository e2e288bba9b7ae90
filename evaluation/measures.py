"""What is measured of each question, and of all of them together, with how sure that is."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from evaluation.asking import QUOTED_FROM, SHOWN, AskedOutcome, Shown
from evaluation.cases import Case
from retrieval.selection import count_within_budget
from utils.normal_forms import normalize

RESAMPLES = 2000
Measured = dict[str, float]
Grade = Literal["right", "partly", "refused", "wrong"]
GRADES: tuple[Grade, ...] = ("right", "partly", "refused", "wrong")
_LONGEST_RIGHT = 700  # characters: a whole table printed leaves the reader to search


@dataclass(frozen=True, slots=True)
class Figure:
    """The mean over *n* questions, with the range in which 95 of 100 samples of them would have it (bootstrap)."""

    value: float
    low: float
    high: float
    n: int


def measure_question(case: Case, outcome: AskedOutcome) -> Measured:
    """The figures of one question, each 0 to 1; only those that it has a say in.

    recall@k, mrr@10, ndcg@10: the place of the first right passage (one is enough, so the ideal gain is 1)
    answered_present: an answerable question is not refused
    refused_absent: an unanswerable one is, or the answer is said to be uncertain
    refused_near_miss, refused_far: the same for the two kinds of those
    answer_contained: the answer holds one of the strings that count; a refusal does not
    citation_precision: the part of its quotes that are of a right document
    quote_holds_answer: one of its quotes holds such a string
    sentences_supported: the part of its sentences that is supported by what they cite, as the service judged them
    facts_found: the passages that a language model is shown hold every fact of the case, together or one of them
    facts_found@6: so do the six that quotes are chosen from
    right, partly, refused, wrong: one of them is 1, see `grade`; sure_but_wrong: wrong, and not said to be uncertain
    """
    graded = _measure_grade(case, outcome) if outcome.answer is not None and _is_graded(case) else {}
    if case.small_talk:
        return graded
    if case.unanswerable:
        kind = "refused_near_miss" if case.near_miss else "refused_far"
        refused = float(not outcome.answered or outcome.is_uncertain)
        return graded | {"refused_absent": refused, kind: refused}
    if case.after:  # what is searched for is not the question alone
        return graded
    return (
        graded
        | _measure_passages(case, outcome)
        | (_measure_answer(case, outcome) if outcome.answer is not None else {})
    )


def _measure_passages(case: Case, outcome: AskedOutcome) -> Measured:
    place = next((n for n, each in enumerate(outcome.passages[:10]) if _is_right(case, each)), None)
    figures = {f"recall@{k}": float(place is not None and place < k) for k in (1, 5, 10)}
    figures["mrr@10"] = 0.0 if place is None else 1 / (place + 1)
    figures["ndcg@10"] = 0.0 if place is None else 1 / math.log2(place + 2)
    figures["answered_present"] = float(outcome.answered)
    if case.facts:
        texts = [each.text for each in outcome.passages[:SHOWN]]
        within = count_within_budget([len(text) for text in texts], least=QUOTED_FROM)
        figures["facts_found"] = _find_facts(case, texts[:within])
        figures["facts_found@6"] = _find_facts(case, [each.text for each in outcome.quoted_from] or texts[:QUOTED_FROM])
    return figures


def _find_facts(case: Case, texts: Sequence[str]) -> float:
    return float(_count_facts(case, "\n".join(texts)) == len(case.facts))


def _is_graded(case: Case) -> bool:
    return bool(case.kind or case.facts or case.small_talk)


def _measure_grade(case: Case, outcome: AskedOutcome) -> Measured:
    result = grade(case, outcome)
    grades = {name: float(name == result) for name in GRADES}
    return grades | {"sure_but_wrong": float(result == "wrong" and not outcome.is_uncertain)}


def grade(case: Case, outcome: AskedOutcome) -> Grade:
    """How good the answer is.

    right: it cites a right document first, says every fact, nothing that contradicts them, and is short; of an
    unanswerable question: it is refused, or said to be uncertain; small talk is taken for small talk
    partly: one of the facts is said, from a right document
    """
    if case.small_talk:
        return "right" if outcome.is_small_talk else "wrong"
    if case.unanswerable:
        return "right" if not outcome.answered or outcome.is_uncertain else "wrong"
    if not outcome.answered or outcome.is_small_talk:
        return "refused"
    text = outcome.answer or ""
    facts = _count_facts(case, text)
    of_document = [_is_of_document(case, quote) for quote in outcome.quotes]
    is_contradicted = any(_simplify(each) in _simplify(text) for each in case.contradicted_by)
    if facts == len(case.facts) and of_document[:1] == [True] and not is_contradicted and len(text) <= _LONGEST_RIGHT:
        return "right"
    return "partly" if facts and any(of_document) else "wrong"


def _count_facts(case: Case, text: str) -> int:
    plain = _simplify(text)
    return sum(any(_simplify(form) in plain for form in forms) for forms in case.facts)


def _measure_answer(case: Case, outcome: AskedOutcome) -> Measured:
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


def summarize(cases: Sequence[Case], rows: Sequence[Measured]) -> dict[str, dict[str, Figure]]:
    """The figures of all questions, under `all`, of those in each language under its code, and of each kind."""
    groups = {"all": list(rows)}
    for case, row in zip(cases, rows, strict=True):
        for name in filter(None, (case.language, case.kind)):
            groups.setdefault(name, []).append(row)
    return {name: _compute_figures(of_group) for name, of_group in sorted(groups.items())}


def _compute_figures(rows: Sequence[Measured]) -> dict[str, Figure]:
    names = dict.fromkeys(name for row in rows for name in row)
    return {name: compute_figure([row[name] for row in rows if name in row]) for name in names}


def compute_figure(values: Sequence[float]) -> Figure:
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
        figure = figures.get(group or "all", {}).get(measure)
        if figure is None:
            missed.append(f"{name}: no question of the set measures it")
        elif figure.value < floor:
            missed.append(f"{name}: {figure.value:.4f} is under {floor:.4f}")
    return missed


def _is_right(case: Case, passage: Shown) -> bool:
    return _is_of_document(case, passage) and _holds(case, passage.text)


def _is_of_document(case: Case, passage: Shown) -> bool:
    if not case.document:
        return True
    return any(name in passage.document or f"/{passage.source}".endswith(f"/{name}") for name in case.document)


def _holds(case: Case, text: str) -> bool:
    if not case.answer:
        return True
    plain = _simplify(text)
    return any(_simplify(answer) in plain for answer in case.answer)


def _simplify(text: str) -> str:
    return re.sub(r"\s+", " ", normalize("NFKC", text).casefold()).strip()
