"""The end of the `answer` step: its sentences checked, and what is not supported marked, dropped or refused.

Not a node of its own: an edge of the graph costs more than the check, and sentences that may have to be dropped are
checked while the answer comes.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import pairwise
from typing import Any

from agents.citations import make_citations
from agents.state import AgentContext
from agents.verification.claims import Claim, split_claims
from agents.verification.verdict import SentenceSupport, report
from agents.verification.verifier import MAX_CLAIMS
from prompts.rag import list_own_texts
from utils.long_texts import process_text
from utils.passages import Hit

_OWN = frozenset(each.whole for text in list_own_texts() for each in split_claims(text))
_AT_ONCE = 4_000  # characters of an answer, see `process_text`: the worst take 6 µs each


async def verify(text: str, hits: Sequence[Hit], run: AgentContext) -> dict[str, Any]:
    """The support of the sentences of *text*, as `report` gives it.

    An answer that could not be checked as it should be is not given again from the cache.
    """
    run.emit({"type": "status", "stage": "verify"})
    result = await run.process_text(lambda: _find_claims(text), characters=len(text), at_once=_AT_ONCE)
    note_failure = run.cache_session.forget
    checked = await run.verifier.check(result, hits, outside=run.place.release, note_failure=note_failure)
    return report(checked, hits=hits)


def _find_claims(text: str) -> Sequence[Claim]:
    """The sentences to be checked: those that are of no source are ours."""
    return _merge_rest([each for each in split_claims(text) if each.whole not in _OWN])


def _merge_rest(claims: Sequence[Claim]) -> Sequence[Claim]:
    """*claims*, those that are too many to be checked as one."""
    rest = claims[MAX_CLAIMS:]
    return [*claims[:MAX_CLAIMS], Claim(rest[0].start, rest[-1].end, "", ())] if rest else claims


_PARAGRAPH_END = "\n\n"
_BOUND_AT_ONCE = 16_000  # characters of an answer and its passages, see `process_text`
_LONG = 4000  # characters of a sentence, with its marks


@dataclass(slots=True)
class SupportFilter:
    """Lets through what may be shown of an answer as it comes, where sentences without support are not shown.

    `text` is what has passed, its marks made valid; `sentences` are those of it that were checked.
    """

    run: AgentContext
    hits: Sequence[Hit]
    text: str = ""
    dropped: int = 0
    sentences: list[SentenceSupport] = field(default_factory=list)
    _buffer: str = ""
    _looked_at_from: int = 0  # so long it must be
    _before: tuple[int, ...] = ()  # the marks that a sentence without any would take from before it

    async def take(self, piece: str) -> str:
        """What may be shown now that *piece* has come: whole sentences, once it is known which mark is theirs."""
        self._buffer += piece
        if self.run.bot.unsupported_sentences == "refuse":  # one sentence without support, and nothing is to be shown
            return ""
        if len(self._buffer) < self._looked_at_from or "]" not in self._buffer:
            return ""
        cut = await process_text(partial(_find_settled_end, self._buffer), characters=len(self._buffer))
        ready, self._buffer = self._buffer[:cut], self._buffer[cut:]
        # What grows without an end in sight is not looked through with each piece of it.
        self._looked_at_from = len(self._buffer) * 9 // 8 if len(self._buffer) > _LONG else 0
        return await self._take_supported(ready) if ready.strip() else ""

    async def rest(self) -> str:
        """What may be shown of the rest, which has come."""
        ready, self._buffer = self._buffer, ""
        return (await self._take_supported(ready)).rstrip()

    @property
    def refuses(self) -> bool:
        """Whether there is no answer to be given."""
        return bool(self.dropped) if self.run.bot.unsupported_sentences == "refuse" else not self.text.strip()

    @property
    def support(self) -> dict[str, Any]:
        """What the check came to, as `report` gives it; of a refused answer only how much had no support."""
        return report([] if self.refuses else self.sentences, dropped=self.dropped, hits=self.hits)

    async def _take_supported(self, ready: str) -> str:
        size = len(ready) + sum(len(hit.passage.text) for hit in self.hits)
        text, _ = await process_text(lambda: make_citations(ready, self.hits), characters=size, at_once=_BOUND_AT_ONCE)
        text = text if self.text else text.lstrip()
        sentences = await process_text(partial(_find_claims, text), characters=len(text))
        supported = self._inherit_marks(sentences, text)
        note_failure = self.run.cache_session.forget
        checked = await self.run.verifier.check(supported, self.hits, note_failure=note_failure)
        output, at = "", 0
        for place, (claim, support) in enumerate(zip(supported, checked, strict=True)):
            if support.status == "unsupported":
                output += text[at : claim.start]
                at = _find_next_start(supported, place, text)
                self.dropped += 1
            else:
                moved = len(self.text) + len(output) - at
                self.sentences.append(replace(support, start=support.start + moved, end=support.end + moved))
        output += text[at:]
        self.text += output
        return output

    def _inherit_marks(self, claims: Sequence[Claim], text: str) -> list[Claim]:
        """*claims* in *text*, those without marks with the last ones of their paragraph, which have passed already."""
        settled, at = [], 0
        for claim in claims:
            before = () if _PARAGRAPH_END in text[at : claim.start] else self._before
            settled.append(claim.with_passages(before))
            self._before, at = settled[-1].cited or before, claim.end
        if _PARAGRAPH_END in text[at:]:
            self._before = ()
        return settled


def _find_settled_end(text: str) -> int:
    """Up to where the marks of every sentence of *text* are known: the end of the last one that has its own."""
    claims = split_claims(text)
    ends = [after.start for claim, after in pairwise(claims) if _has_mark(text, claim)]
    return ends[-1] if ends else 0


def _has_mark(text: str, claim: Claim) -> bool:
    return "[" in text[claim.start : claim.end] and bool(claim.cited)


def _find_next_start(claims: Sequence[Claim], place: int, text: str) -> int:
    return claims[place + 1].start if place + 1 < len(claims) else len(text)
