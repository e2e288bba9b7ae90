"""Checks an answer sentence by sentence: by words, by a model for entailment, by meaning, by a judge.

The first and the third are always there, the others where they are configured."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass

from langchain_core.language_models import BaseChatModel

from agents.verification.claims import Claim
from agents.verification.models import Entailment, ask_judge, compare, entail
from agents.verification.results import judge_by_results
from agents.verification.sources import Source, make_source
from agents.verification.support import WordVerdict, judge_by_words
from agents.verification.verdict import SentenceSupport, SentenceVerdict
from utils.errors import Overloaded
from utils.long_texts import AT_ONCE, process_text
from utils.passages import Hit
from utils.ports import Embedder
from utils.query_tables import QueryTable

Waiting = AbstractAsyncContextManager[None]

_FEW_CLAIMS, MAX_CLAIMS = 8, 200
_TOO_MANY = SentenceVerdict("unverified", 0.0, "the answer is too long to be checked to its end", "none")
_TOO_SLOW = SentenceVerdict("unverified", 0.0, "there was no time to check it", "none")
_JUDGING_S = 20.0
_UNDECIDED = "its source says something similar, but it is not certain that it says the same"


@dataclass(frozen=True, slots=True)
class Verifier:
    """What sentences are checked with. *entailment* reads those that do not stand in their source word for word,
    *judge* is asked about those in doubt; None asks nobody.

    *comparing_s*: of a turn's time; a busy embedding model leaves a sentence undecided, not the answer late.
    """

    embedder: Embedder
    judge: BaseChatModel | None = None
    comparing_s: float = 2.0
    entailment: Entailment | None = None

    async def check(
        self,
        claims: Sequence[Claim],
        hits: Sequence[Hit],
        *,
        outside: Callable[[], Waiting] = nullcontext,
        note_failure: Callable[[], None] = lambda: None,
    ) -> list[SentenceSupport]:
        """The support of each of *claims*; passage n of their marks is `hits[n - 1]`. Never fails for want of a model.

        Where words decide about all, no model is asked. *outside* is entered while one is waited for. *note_failure* is
        called where a check failed or had no time: at another moment more might be known.
        """
        looks = await self._looks(claims, hits, note_failure)
        findings = [each.finding for each in looks]
        if _open(findings) or (self.entailment and any(each.places for each in looks)):
            async with outside():
                if self.entailment is not None:
                    await _check_by_entailment(self.entailment, claims, looks, findings, note_failure)
                await self._check_by_meaning(claims, looks, findings, note_failure)
                if self.judge is not None:
                    await self._check_by_judge(self.judge, claims, hits, findings, note_failure)
        return [_support(*each) for each in zip(claims, findings, looks, strict=True)]

    def check_words(self, claim: Claim, hits: Sequence[Hit]) -> WordVerdict:
        """What words alone say of *claim*, and of its figures the results of queries: no model is asked."""
        tables = _get_tables(claim, hits)
        return (
            judge_by_results(claim, _get_cited(claim, hits), tables)
            if tables
            else judge_by_words(claim, _get_cited(claim, hits))
        )

    async def _looks(
        self, claims: Sequence[Claim], hits: Sequence[Hit], note_failure: Callable[[], None]
    ) -> list[WordVerdict]:
        """The first look at each; in a thread where they are many or long, so that the loop is not held."""

        def work() -> list[WordVerdict]:
            return [self.check_words(claim, hits) for claim in claims[:MAX_CLAIMS]]

        cited = {number for claim in claims for number in claim.cited if 1 <= number <= len(hits)}
        size = sum(len(hits[number - 1].passage.text) for number in cited) + sum(len(each.text) for each in claims)
        at_once = AT_ONCE if len(claims) <= _FEW_CLAIMS else 0
        try:
            looks = await process_text(work, characters=max(1, size), at_once=at_once)
        except Overloaded:
            note_failure()
            return [WordVerdict(_TOO_SLOW)] * len(claims)
        return looks + [WordVerdict(_TOO_MANY)] * (len(claims) - len(looks))

    async def _check_by_meaning(
        self,
        claims: Sequence[Claim],
        looks: Sequence[WordVerdict],
        findings: list[SentenceVerdict | None],
        note_failure: Callable[[], None],
    ) -> None:
        open_ = _open(findings)
        pairs = [(claims[at], looks[at].places) for at in open_]
        verdicts = await compare(pairs, self.embedder, timeout_s=self.comparing_s, note_failure=note_failure)
        _fill(findings, open_, verdicts)

    async def _check_by_judge(
        self,
        judge: BaseChatModel,
        claims: Sequence[Claim],
        hits: Sequence[Hit],
        findings: list[SentenceVerdict | None],
        note_failure: Callable[[], None],
    ) -> None:
        open_ = _open(findings)
        if open_:
            numbers = sorted({number for at in open_ for number in claims[at].cited})
            passages = [hits[number - 1].passage for number in numbers if 1 <= number <= len(hits)]
            texts = [claims[at].text for at in open_]
            verdicts = await ask_judge(judge, texts, passages, timeout_s=_JUDGING_S, note_failure=note_failure)
            _fill(findings, open_, verdicts)


async def _check_by_entailment(
    entailment: Entailment,
    claims: Sequence[Claim],
    looks: Sequence[WordVerdict],
    findings: list[SentenceVerdict | None],
    note_failure: Callable[[], None],
) -> None:
    """Judge by entailment, also what the share of words decided: invented text often has its words from the source."""
    read = [at for at, each in enumerate(looks) if each.places]
    verdicts = await entail([(claims[at], looks[at].places) for at in read], entailment, note_failure)
    for at, finding in zip(read, verdicts, strict=True):
        findings[at] = finding or findings[at]


def _get_cited(claim: Claim, hits: Sequence[Hit]) -> Mapping[int, Source]:
    return {number: make_source(hits[number - 1].passage) for number in claim.cited if 1 <= number <= len(hits)}


def _get_tables(claim: Claim, hits: Sequence[Hit]) -> dict[int, QueryTable]:
    tables = {number: hits[number - 1].passage.table for number in claim.cited if 1 <= number <= len(hits)}
    return {number: table for number, table in tables.items() if table is not None}


def _open(findings: Sequence[SentenceVerdict | None]) -> list[int]:
    return [index for index, finding in enumerate(findings) if finding is None]


def _fill(
    findings: list[SentenceVerdict | None], places: Sequence[int], verdicts: Sequence[SentenceVerdict | None]
) -> None:
    for at, finding in zip(places, verdicts, strict=True):
        findings[at] = finding


def _support(claim: Claim, finding: SentenceVerdict | None, first_look: WordVerdict) -> SentenceSupport:
    final = finding or SentenceVerdict("unverified", 0.5, _UNDECIDED, "meaning")
    return SentenceSupport(
        claim.start, claim.end, final.status, final.score, final.reason, final.method, claim.cited, first_look.figures
    )
