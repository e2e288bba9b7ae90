"""The second look at a sentence: by a model for entailment, by meaning, and last by a chat model that is to judge.

Vectors tell what a sentence is about, not whether its numbers or denials are right: those were compared before. How
near two texts must be differs from model to model; `benchmarks/verification.py` measures it. With a model that was not
measured the sentence stays undecided.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import HumanMessage

from agents.verification.claims import Claim
from agents.verification.support import SentenceMatch
from agents.verification.verdict import SentenceVerdict
from prompts.judging import make_judging_prompt, read_judgement
from utils.passages import Passage
from utils.ports import Embedder, EntailmentModel

_SENTENCES = 8  # of sources in another language that are compared with a claim: words do not tell which of them
_PLACES = 2  # else: the best sentence of so many sources
_LONGEST = 600  # characters of a text that is embedded
_MAX_TEXTS = 24  # of an answer; each costs some 50 ms of CPU with the model that comes with the service

MAX_ENTAILED = 40  # sentences of an answer that the entailment model reads, each with so many passages:
_PREMISES = 2

_MAX_JUDGED = 12  # sentences of an answer that a chat model is asked about, in one call

_JUDGED = {
    True: SentenceVerdict("supported", 1.0, "the judging model finds it in its source", "judge"),
    False: SentenceVerdict("unsupported", 0.0, "the judging model does not find it in its source", "judge"),
}


@dataclass(frozen=True, slots=True)
class Levels:
    """Cosines of a model: from *same* on two texts say the same, below *other* they do not."""

    same: float
    other: float


# For texts of one language, and of two.
_LEVELS = {
    "multilingual-e5-small-q4": (Levels(same=0.885, other=0.82), Levels(same=0.86, other=0.82)),
}


@dataclass(frozen=True, slots=True)
class Entailment:
    """A model for entailment, and how it is used: for sources in *languages*, empty for all.

    A sentence is supported from the score *threshold* on, unsupported below 1 - *threshold*, undecided between them.
    """

    model: EntailmentModel
    languages: frozenset[str] = frozenset({"en"})
    threshold: float = 0.5
    timeout_s: float = 4.0  # of a turn's time, for all its sentences

    def reads(self, places: Sequence[SentenceMatch]) -> bool:
        """Whether the model knows the language of the sentence and of the sources in *places*."""
        return not self.languages or (
            all(place.source.language in self.languages for place in places) and not any(p.is_foreign for p in places)
        )


async def entail(claim: Claim, places: Sequence[SentenceMatch], entailment: Entailment) -> SentenceVerdict | None:
    """A finding for *claim* by the best of the sources in *places*; None where it stays undecided.

    Raises:
        ProviderError: the model failed.
    """
    if not entailment.reads(places):
        return None
    places = places[:_PREMISES]
    premises = [f"{place.source.title}\n{place.source.text}".strip() for place in places]
    scores = await entailment.model.score([(premise, claim.text[:_LONGEST]) for premise in premises])
    score, number = max((float(score), place.number) for score, place in zip(scores, places, strict=True))
    if score >= entailment.threshold:
        return SentenceVerdict("supported", round(score, 2), f"source [{number}] says it in other words", "entailment")
    if score < 1 - entailment.threshold:
        return SentenceVerdict("unsupported", round(score, 2), "it does not follow from its source", "entailment")
    return None


async def compare(
    undecided: Sequence[tuple[Claim, Sequence[SentenceMatch]]], embedder: Embedder
) -> list[SentenceVerdict | None]:
    """A finding for each claim and the places found for it, None where it stays undecided, as all do with a model that
    was not measured.

    Raises:
        ProviderError: the model failed.
    """
    levels = _LEVELS.get(embedder.model)
    pairs = [(claim.text[:_LONGEST], list(_iter_sentences(places)), places[0]) for claim, places in undecided]
    texts = list(
        dict.fromkeys(
            text for claim, sentence_match, _ in pairs for text in (claim, *(each for each, _ in sentence_match))
        )
    )
    texts = texts[:_MAX_TEXTS]
    if levels is None or not texts:
        return [None] * len(undecided)
    vectors = dict(zip(texts, await embedder.embed_passages(texts, urgent=True), strict=True))
    findings: list[SentenceVerdict | None] = []
    for claim, sentence_match, place in pairs:
        scores = [
            (float(vectors[claim] @ vectors[text]), number)
            for text, number in sentence_match
            if {claim, text} <= vectors.keys()
        ]
        findings.append(_judge_likeness(*max(scores), levels[place.is_foreign]) if scores else None)
    return findings


def _iter_sentences(places: Sequence[SentenceMatch]) -> Iterator[tuple[str, int]]:
    """Sentences of the sources with their numbers."""
    for place in places[:_PLACES]:
        sentences = place.source.sentences[:_SENTENCES] if place.is_foreign else [place.sentence]
        yield from ((sentence.text[:_LONGEST], place.number) for sentence in sentences)


def _judge_likeness(likeness: float, number: int, levels: Levels) -> SentenceVerdict | None:
    score = round(min(1.0, max(0.0, (likeness - levels.other) / (levels.same - levels.other))), 2)
    if likeness >= levels.same:
        return SentenceVerdict("supported", score, f"source [{number}] says it in other words", "meaning")
    if likeness < levels.other:
        return SentenceVerdict("unsupported", score, f"source [{number}] says something else", "meaning")
    return None


async def ask_judge(
    model: BaseChatModel, sentences: Sequence[str], passages: Sequence[Passage]
) -> list[SentenceVerdict | None]:
    """A finding for each of *sentences*, which rest on *passages*; None where the model does not say.

    Raises:
        ProviderError: the model failed.
    """
    batch = sentences[:_MAX_JUDGED]
    reply = await model.ainvoke([HumanMessage(make_judging_prompt(batch, passages))])
    judged = read_judgement(reply.text, len(batch))
    return [None if verdict is None else _JUDGED[verdict] for verdict in judged] + [None] * (
        len(sentences) - len(batch)
    )
