"""The first look at a sentence that rests on results of queries: its figures are held to their cells."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from agents.verification.claims import Claim
from agents.verification.facts import Facts, find_facts, find_missing_fact
from agents.verification.figures.checking import CheckedFigure, check_figures
from agents.verification.sources import Source
from agents.verification.support import WordVerdict, find_contradiction, find_places, find_verbatim, judge_by_words
from agents.verification.verdict import SentenceVerdict
from utils.facts.dates import find_dates
from utils.facts.numbers import find_numbers
from utils.language import LANGUAGES, choose_most_likely
from utils.query_tables import QueryTable

_CERTAIN = 0.95


def judge_by_results(claim: Claim, sources: Mapping[int, Source], tables: Mapping[int, QueryTable]) -> WordVerdict:
    """Judge *claim* by *sources*, the passages it cites by their numbers, of which *tables* are results of queries.

    With a figure that is in no cell of the rows that it speaks of, and follows from none, it is not supported. Where
    all its figures and names are found, and nothing denies it, it is.
    """
    if not claim.is_checkable:
        return judge_by_words(claim, sources)
    marks = "".join(f"[{number}]" for number in tables)
    figures = _check(claim, sources, tables)
    if finding := find_verbatim(claim, {number: sources[number] for number in tables}):  # quoted from the result
        return WordVerdict(finding, figures=tuple(each for each in figures if each.status != "absent"))
    if absent := next((each for each in figures if each.status == "absent"), None):
        why = f"the figure {absent.text} is in no cell of result {marks} for what is said, and does not follow from it"
        return WordVerdict(SentenceVerdict("unsupported", 0.0, why, "figures"), figures=figures)
    facts = _remove_checked(figures, find_facts(claim.text))
    if _are_bound(figures) and not _is_refuted(claim, facts, sources):
        why = f"its figures stand in result {marks}, or follow from it"
        return WordVerdict(SentenceVerdict("supported", 1.0, why, "figures"), figures=figures)
    return replace(judge_by_words(claim, sources, facts), figures=figures)


def _is_refuted(claim: Claim, facts: Facts, sources: Mapping[int, Source]) -> bool:
    """Whether a name of it is nowhere, or a sentence denies it."""
    if find_missing_fact(facts, claim.text, list(sources.values())):
        return True
    return find_contradiction(claim, facts, find_places(claim, facts, sources)[0]) is not None


def _check(claim: Claim, sources: Mapping[int, Source], tables: Mapping[int, QueryTable]) -> tuple[CheckedFigure, ...]:
    """The figures of *claim*, without those that a passage of a document has."""
    checked = check_figures(claim.text, _detect(claim.text), tables)
    others = [source for number, source in sources.items() if number not in tables]
    return tuple(each for each in checked if each.status != "absent" or not _occurs(each.text, others))


def _detect(text: str) -> str:
    """The language where it is certain: a wrong one makes 2,400 of 2.4."""
    language, probability = choose_most_likely(text, LANGUAGES)
    return language if probability >= _CERTAIN else ""


def _occurs(text: str, sources: Sequence[Source]) -> bool:
    numbers, dates = find_numbers(text), find_dates(text)
    return any(any(map(source.numbers.agree, numbers)) or any(map(source.dates.say, dates)) for source in sources)


def _remove_checked(figures: Sequence[CheckedFigure], facts: Facts) -> Facts:
    """*facts* without numbers, all of which were held to cells, and without the dates that were."""
    checked = {each.start for each in figures}
    return Facts([], [each for each in facts.dates if each.start not in checked], facts.names)


def _are_bound(figures: Sequence[CheckedFigure]) -> bool:
    """Whether there is a figure, and of each it is clear which rows are spoken of."""
    return any(each.status != "given" for each in figures) and all(
        each.is_bound or each.status == "given" for each in figures
    )
