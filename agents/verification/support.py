"""The first look at a sentence: what its words, numbers, dates, names and negations say, without any model.

A sentence that stands in its source word for word is supported. One that states what the source does not, or denies
what it says, is not. Else the share of its words that stand together in the source decides, where it is high or low;
between the two the sentence is undecided. `benchmarks/verification.py` measures the constants.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from agents.verification.claims import Claim
from agents.verification.facts import Facts, find_facts, find_missing_fact, find_replaced_fact
from agents.verification.figures.checking import CheckedFigure
from agents.verification.meta_sentences import is_general
from agents.verification.negation import describe_contradiction, find_denial_before
from agents.verification.sources import Source, SourceSentence, spell_out
from agents.verification.verdict import SentenceVerdict, Status
from utils.language import detect_language
from utils.words import hash_content_words

ENOUGH_SHARED = 0.72  # of a sentence's words, in a sentence of the source and its neighbours
TOO_LITTLE_SHARED = 0.25  # anywhere in the source
_COMPARED = 0.5  # of the words shared: then the two sentences speak of the same
_CONTRADICTED = 0.75  # of the words shared: then they contradict each other; below that, they may
_SHORTEST = 4  # characters of a sentence whose being there word for word proves anything


@dataclass(frozen=True, slots=True)
class SentenceMatch:
    """The sentence *at* of source *number* that shares most with a claim, and shares of the claim's words, 0 to 1.

    *alone* in that sentence, *near* with its neighbours and what it stands under, *anywhere* in the source.
    *is_foreign*: the claim is in another language, so that its words prove nothing.
    """

    number: int
    source: Source
    at: int
    alone: float
    near: float
    anywhere: float
    is_foreign: bool = False

    @property
    def sentence(self) -> SourceSentence:
        """The sentence itself."""
        return self.source.sentences[self.at]


@dataclass(frozen=True, slots=True)
class WordVerdict:
    """What words alone say: a finding, or None where they do not decide.

    *places*: where a model may look, best first; none where a model could not change the finding.
    *figures*: those of the sentence, where it rests on the result of a query.
    """

    finding: SentenceVerdict | None
    places: Sequence[SentenceMatch] = ()
    figures: tuple[CheckedFigure, ...] = ()


def judge_by_words(claim: Claim, sources: Mapping[int, Source], facts: Facts | None = None) -> WordVerdict:
    """Judge *claim* by *sources*, the passages it cites by their numbers.

    *facts*: those of it that the sources have to have; None: all.
    """
    if not claim.is_checkable:
        return WordVerdict(SentenceVerdict("unverified", 0.0, "there is nothing in it to check", "none"))
    if not sources:
        return WordVerdict(SentenceVerdict("unsupported", 0.0, "it names no source", "none"))
    if finding := find_verbatim(claim, sources):
        return WordVerdict(finding)
    facts = find_facts(claim.text) if facts is None else facts
    marks = _format_marks(sources)
    if missing := find_missing_fact(facts, claim.text, list(sources.values())):
        return WordVerdict(SentenceVerdict("unsupported", 0.0, f"{missing} is not in source {marks}"))
    places = find_places(claim, facts, sources)
    if finding := find_contradiction(claim, facts, places[0]):
        return WordVerdict(finding)
    finding = _judge_by_share(places, marks, claim.text)
    if finding and finding.status == "unsupported" and places[0].alone < _COMPARED and _is_foreign(claim.text, places):
        return WordVerdict(None, [replace(place, is_foreign=True) for place in places])
    return WordVerdict(finding, places)


def find_places(claim: Claim, facts: Facts, sources: Mapping[int, Source]) -> list[SentenceMatch]:
    """Where each of *sources* shares most with *claim*, the best first."""
    return sorted(
        (_find_best_place(claim.text, facts, *item) for item in sources.items()), key=lambda place: -place.near
    )


def find_verbatim(claim: Claim, sources: Mapping[int, Source]) -> SentenceVerdict | None:
    """The finding about a sentence that stands in one of *sources* word for word, None about any other."""
    spelled = spell_out(claim.text)
    if len(spelled) < _SHORTEST:
        return None
    for number, source in sources.items():
        if spelled in source.spelled:
            if cut := _cut_from_denial(spelled, source):
                return SentenceVerdict("unsupported", 0.0, f'source [{number}] says "{cut}" before these words')
            return SentenceVerdict("supported", 1.0, f"it stands word for word in source [{number}]")
    return None


def _cut_from_denial(words: str, source: Source) -> str:
    """The word that denies what was cut out of its sentence, "" where none does."""
    holding = [sentence for sentence in source.sentences if words in sentence.spelled]
    cuts = [find_denial_before(sentence.spelled, words, source.language) for sentence in holding]
    return cuts[0] if cuts and all(cuts) else ""


def find_contradiction(claim: Claim, facts: Facts, place: SentenceMatch) -> SentenceVerdict | None:
    """The finding that *place* denies what *claim* says, or has another fact where it has one."""
    if place.alone < _COMPARED:
        return None
    status: Status = "unsupported" if place.alone >= _CONTRADICTED else "unverified"
    if words := describe_contradiction(claim.text, place.sentence, place.source.language):
        return SentenceVerdict(status, 0.0, f"{words} in source [{place.number}]")
    if instead := find_replaced_fact(facts, claim.text, place.source, place.sentence):
        return SentenceVerdict(status, 0.0, f"source [{place.number}] has {instead}")
    return None


def _judge_by_share(places: Sequence[SentenceMatch], marks: str, text: str) -> SentenceVerdict | None:
    best = places[0]
    if best.near >= ENOUGH_SHARED:
        return SentenceVerdict(
            "supported", round(best.near, 2), f"source [{best.number}] says it in nearly the same words"
        )
    if max(place.anywhere for place in places) <= TOO_LITTLE_SHARED:
        status: Status = "unverified" if is_general(text) else "unsupported"
        return SentenceVerdict(status, round(best.near, 2), f"source {marks} says nothing similar")
    return None


def _is_foreign(text: str, places: Sequence[SentenceMatch]) -> bool:
    spoken = {place.source.language for place in places}
    return detect_language(text, default=places[0].source.language) not in spoken


def _find_best_place(text: str, facts: Facts, number: int, source: Source) -> SentenceMatch:
    """Where *source* shares most with *text*; a fact that agrees by value counts as a word shared."""
    words = hash_content_words(_blank_out(text, facts), source.language)
    count = (len(words) + len(facts.numbers) + len(facts.dates)) or 1
    if not source.sentences:
        return SentenceMatch(number, source, 0, 0.0, 0.0, 0.0)
    agreeing = [_count_agreeing(facts, each) for each in source.sentences]
    alone = [
        (len(words & (each.words | each.around)) + n) / count
        for each, n in zip(source.sentences, agreeing, strict=True)
    ]
    near = [
        (len(words & _find_near(source, index)) + max(agreeing[max(0, index - 1) : index + 2])) / count
        for index in range(len(alone))
    ]
    best = max(range(len(alone)), key=lambda index: (alone[index] + near[index], -index))
    anywhere = (len(words & source.words) + max(agreeing)) / count
    return SentenceMatch(number, source, best, alone[best], near[best], anywhere)


def _blank_out(text: str, facts: Facts) -> str:
    """*text* with blanks for its numbers and dates, which are compared by value."""
    characters = list(text)
    spans = [(each.start, each.end) for each in facts.numbers] + [(each.start, each.end) for each in facts.dates]
    for start, end in spans:
        characters[start:end] = " " * (end - start)
    return "".join(characters)


def _count_agreeing(facts: Facts, sentence: SourceSentence) -> int:
    """How many numbers and dates of a claim *sentence* has."""
    return sum(map(sentence.numbers.agree, facts.numbers)) + sum(map(sentence.dates.say, facts.dates))


def _find_near(source: Source, index: int) -> frozenset[int]:
    here = source.sentences[index]
    around = source.sentences[max(0, index - 1) : index + 2]
    return frozenset().union(source.title_words, here.around, *(each.words for each in around))


def _format_marks(sources: Mapping[int, Source]) -> str:
    return "".join(f"[{number}]" for number in sources)
