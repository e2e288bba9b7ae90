"""Whether what was found holds an answer at all, judged by similarity and words.

A passage speaks for an answer by

    evidence = (similarity - level) / step + share

*similarity* is the cosine of question and passage, *level* about what a question reaches with its best passage when
the article it is about is not indexed, *share* the part of the question's words that stand in the passage. Neither does
it alone: at 5 % of the answerable questions refused, similarity refuses .86 of the others, both together over .9.

The levels are medians over questions about absent articles (half of squad_en, xquad_en, xquad_es and idk_id indexed,
60 to 370 passages; between 120 and 740 they rise by about 0.01), across languages over questions of one set and 60 to
120 passages of another. The weight of the share comes from a logistic regression on one half of squad_en and of idk_id,
rounded; what is enough from the outcome on all sets. `benchmarks/answers.py` measures it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from retrieval.question import Question
from utils.passages import Hit

_JUDGED_HITS = 3
_ENOUGH = 1.2
_ENOUGH_FOREIGN = 0.7  # a passage in another language has hardly any of the question's words to add
_ENOUGH_BY_WORDS = 0.5
_NEAR = 0.5
# Of 56 visitors' questions over the samples eight of 19 wrong answers were below both, and six of 33 right ones. The
# second also goes for a passage in another language that stands beside some in the question's: `benchmarks/mixed.py`.
_FEW_WORDS, _ENOUGH_WITH_FEW_WORDS = 0.34, 1.9


@dataclass(frozen=True, slots=True)
class Calibration:
    """The *level* of the passages of each language (ISO 639-1) with one embedding model.

    *same* for a question in the passage's language, *foreign* for one in another, empty where nothing is known of it;
    *step* is what counts as much as all of the question's words.
    """

    same: dict[str, float]
    foreign: dict[str, float]
    step: float = 0.04


CALIBRATIONS = {
    "multilingual-e5-small-q4": Calibration(
        same={"en": 0.785, "es": 0.805, "id": 0.832}, foreign={"en": 0.757, "es": 0.758, "id": 0.77}
    ),
}


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a question can be answered; *evidence* is that of the passage that speaks most for it, 1 is enough.

    *is_sure*: quotes of the passages most likely answer it, which they seldom do with few of its words.
    """

    answerable: bool
    evidence: float
    is_sure: bool

    @property
    def is_near(self) -> bool:
        """Whether the passages may be worth showing, as those that come closest."""
        return self.evidence >= _NEAR


def is_answerable(question: str, hits: Sequence[Hit], *, model: str) -> Verdict:
    """`judge` for a question that nothing else is compared with."""
    return judge(Question(question), hits, model=model)


def judge(question: Question, hits: Sequence[Hit], *, model: str, estimated: Calibration | None = None) -> Verdict:
    """Whether one of the first *hits* (best first), or one that waits for its vector, may answer *question*.

    *model* names the embedding model: similarities of different models mean different things. A hit without a vector is
    judged by its words. A model that was not calibrated here goes by the calibration *estimated* from the tenant's own
    documents. Without one every hit is judged by its words, except that a passage in another language than the
    question's, whose words prove nothing, is then left to the chat model to judge.
    """
    # The order of hits that wait for their vectors means less: whichever of them speaks for an answer counts.
    judged = [hit for place, hit in enumerate(hits) if place < _JUDGED_HITS or hit.dense is None]
    calibration = CALIBRATIONS.get(model, estimated)
    evidence = [_find_evidence(question, hit, calibration) for hit in judged]
    is_mixed = any(not _is_foreign(question, hit) for hit in hits)
    is_sure = any(_speaks_surely(question, *each, is_mixed=is_mixed) for each in zip(judged, evidence, strict=True))
    best = max(evidence, default=0.0)
    return Verdict(best >= 1, best, is_sure)


def _speaks_surely(question: Question, hit: Hit, evidence: float, *, is_mixed: bool) -> bool:
    """Whether *hit* by itself is enough; *is_mixed*: some passages are in the question's language."""
    if evidence < 1 or evidence >= _ENOUGH_WITH_FEW_WORDS:
        return evidence >= 1
    if _is_foreign(question, hit):
        return not is_mixed
    return question.share_in_best_sentence(hit.passage) >= _FEW_WORDS


def _is_foreign(question: Question, hit: Hit) -> bool:
    return question.language not in ("", hit.passage.language)


def _find_evidence(question: Question, hit: Hit, calibration: Calibration | None) -> float:
    share = question.share_in(hit.passage)
    language = hit.passage.language
    foreign = _is_foreign(question, hit)
    if hit.dense is None or (calibration is None and not foreign):
        return share / _ENOUGH_BY_WORDS
    if calibration is None:
        return 1.0
    levels, enough = (calibration.foreign, _ENOUGH_FOREIGN) if foreign else (calibration.same, _ENOUGH)
    if not levels:
        return 1.0
    level = levels.get(language, max(levels.values()))
    return ((hit.dense - level) / calibration.step + share) / enough
