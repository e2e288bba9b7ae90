"""Checks an answer sentence by sentence: by words, by a model for entailment, by meaning, by a judge.

The first and the third are always there, the others where they are configured."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from dataclasses import dataclass

from langchain_core.language_models import BaseChatModel

from agents.verification.claims import Claim
from agents.verification.models import MAX_ENTAILED, Entailment, ask_judge, compare, entail
from agents.verification.results import judge_by_results
from agents.verification.sources import Source, make_source
from agents.verification.support import WordVerdict, judge_by_words
from agents.verification.verdict import SentenceSupport, SentenceVerdict
from utils.errors import Overloaded, ProviderError
from utils.long_texts import AT_ONCE, process_text
from utils.passages import Hit
from utils.ports import Embedder
from utils.query_tables import QueryTable

logger = logging.getLogger(__name__)

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
        looks = await self._look_at_words(claims, hits, note_failure)
        check = _Check(claims, hits, looks, [look.finding for look in looks], note_failure)
        if check.list_undecided() or (self.entailment and any(look.places for look in looks)):
            async with outside():
                if self.entailment is not None:
                    await check.ask_entailment(self.entailment)
                await check.compare_meaning(self.embedder, self.comparing_s)
                if self.judge is not None:
                    await check.ask_judge(self.judge)
        return [_support(*each) for each in zip(claims, check.findings, looks, strict=True)]

    def check_words(self, claim: Claim, hits: Sequence[Hit]) -> WordVerdict:
        """What words alone say of *claim*, and of its figures the results of queries: no model is asked."""
        tables = _get_tables(claim, hits)
        return (
            judge_by_results(claim, _get_cited(claim, hits), tables)
            if tables
            else judge_by_words(claim, _get_cited(claim, hits))
        )

    async def _look_at_words(
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


@dataclass(frozen=True, slots=True)
class _Check:
    """A check under way: what words say of each claim, and the findings until now, None where it is undecided."""

    claims: Sequence[Claim]
    hits: Sequence[Hit]
    looks: Sequence[WordVerdict]
    findings: list[SentenceVerdict | None]
    note_failure: Callable[[], None]

    def list_undecided(self) -> list[int]:
        return [at for at, finding in enumerate(self.findings) if finding is None]

    async def ask_entailment(self, entailment: Entailment) -> None:
        """Judge also what the share of words decided: invented text often has its words from the source."""
        readable = [at for at, look in enumerate(self.looks) if look.places]
        async with self._limit("entailment", entailment.timeout_s):
            for at in readable[:MAX_ENTAILED]:
                finding = await entail(self.claims[at], self.looks[at].places, entailment)
                self.findings[at] = finding or self.findings[at]

    async def compare_meaning(self, embedder: Embedder, timeout_s: float) -> None:
        undecided = self.list_undecided()
        async with self._limit("embedding", timeout_s):
            self._fill(
                undecided, await compare([(self.claims[at], self.looks[at].places) for at in undecided], embedder)
            )

    async def ask_judge(self, judge: BaseChatModel) -> None:
        undecided = self.list_undecided()
        if undecided:
            numbers = sorted({number for at in undecided for number in self.claims[at].cited})
            passages = [self.hits[number - 1].passage for number in numbers if 1 <= number <= len(self.hits)]
            async with self._limit("judge", _JUDGING_S):
                self._fill(undecided, await ask_judge(judge, [self.claims[at].text for at in undecided], passages))

    def _fill(self, places: Sequence[int], findings: Sequence[SentenceVerdict | None]) -> None:
        for at, finding in zip(places, findings, strict=True):
            self.findings[at] = finding

    @asynccontextmanager
    async def _limit(self, model: str, timeout_s: float) -> AsyncIterator[None]:
        """End the block where it takes longer or the model fails: what was not decided in it stays so."""
        try:
            async with asyncio.timeout(timeout_s):
                yield
        except (ProviderError, TimeoutError) as exc:
            logger.warning("Some sentences not verified: the %s model did not answer.", model, exc_info=exc)
            self.note_failure()


def _get_cited(claim: Claim, hits: Sequence[Hit]) -> Mapping[int, Source]:
    return {number: make_source(hits[number - 1].passage) for number in claim.cited if 1 <= number <= len(hits)}


def _get_tables(claim: Claim, hits: Sequence[Hit]) -> dict[int, QueryTable]:
    tables = {number: hits[number - 1].passage.table for number in claim.cited if 1 <= number <= len(hits)}
    return {number: table for number, table in tables.items() if table is not None}


def _support(claim: Claim, finding: SentenceVerdict | None, first_look: WordVerdict) -> SentenceSupport:
    final = finding or SentenceVerdict("unverified", 0.5, _UNDECIDED, "meaning")
    return SentenceSupport(
        claim.start, claim.end, final.status, final.score, final.reason, final.method, claim.cited, first_look.figures
    )
