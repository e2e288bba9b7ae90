"""Whose turn it is: which tenant's, and which documents' of a tenant."""

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from time import monotonic

from auth.principal import Principal
from utils.loops import describe_failure, lengthen, log_pause
from utils.passages import Passage

logger = logging.getLogger(__name__)

VECTORS_BATCH = 8  # passages embedded at once: what a question waits for at most
OLDEST_EVERY = 4  # each such batch of a tenant is of what has waited longest, however small the others are

Work = Callable[[Principal], Awaitable[bool]]


class TenantRoundRobin:
    """One step of *work* for each tenant in turn; a tenant whose step failed is left out for a time, ever longer.

    *name* is what the log calls it.
    """

    def __init__(self, name: str, work: Work) -> None:
        self._name, self._work = name, work
        self._paused: dict[str, tuple[float, float, Exception]] = {}  # for so long, until then, because of this
        self._taking = asyncio.Lock()
        self._logged = ""  # the reason that was logged last, "" since all went on

    @property
    def failure(self) -> Exception | None:
        """Why a tenant is left out at present; None if none is."""
        return next((failure for _, _, failure in reversed(self._paused.values())), None)

    async def take(self, tenants: Sequence[Principal], *, pause_s: float) -> bool:
        """A step for each of *tenants*, which are all that have work; whether any may have more.

        The first pause after a failure is twice *pause_s*. Two callers take turns: what one has read of a tenant's work
        must not be older than what the other has done of it.
        """
        async with self._taking:
            return await self._take(tenants, pause_s)

    async def _take(self, tenants: Sequence[Principal], pause_s: float) -> bool:
        busy, failed = False, ""
        self._paused = {ctx.tenant_id: self._paused[ctx.tenant_id] for ctx in tenants if ctx.tenant_id in self._paused}
        for ctx in tenants:
            former_s, until, _ = self._paused.get(ctx.tenant_id, (pause_s, 0.0, None))
            if monotonic() < until:
                continue
            try:
                busy = await self._work(ctx) or busy
            except Exception as exc:  # one tenant's trouble must not stop the others
                longer_s, failed = lengthen(former_s), ctx.tenant_id
                last = self._paused[failed] = (longer_s, monotonic() + longer_s, exc)
            else:
                self._paused.pop(ctx.tenant_id, None)
        if failed and self._logged != (reason := describe_failure(last[2])):  # once: where a store is away, all fail
            log_pause(self._name, last[2], last[0], tenant_id=failed)
            self._logged = reason
        elif self._logged and not self._paused:
            logger.info("%s goes on.", self._name)
            self._logged = ""
        return busy


@dataclass(slots=True)
class Pace:
    """How a tenant's passages are embedded: *batch* at once, after *skip* that were refused one by one.

    So passages that the embedder does not take end up alone, and others do not wait for them. *waiting* are the
    documents that come next, with their number of passages: those with the fewest, or the oldest. It is read again at
    *expires_at*, on the clock of `time.monotonic`.
    """

    oldest_first: bool = False
    batch: int = VECTORS_BATCH
    skip: int = 0
    waiting: dict[str, int] = field(default_factory=dict)
    expires_at: float = 0.0

    def slow_down(self) -> None:
        """After a failure."""
        self.skip += self.batch == 1
        self.batch = 1

    def speed_up(self) -> None:
        """After a success."""
        self.batch = min(self.batch * 2, VECTORS_BATCH)

    def choose_documents(self) -> tuple[list[str], int]:
        """The documents that hold the next batch, and how many passages of the first of them are to be passed over."""
        chosen: list[str] = []
        skip, room = self.skip, self.batch
        for document_id, count in self.waiting.items():
            if not chosen and skip >= count:
                skip -= count
                continue
            room -= count if chosen else count - skip
            chosen.append(document_id)
            if room <= 0:
                break
        return chosen, skip

    def note_words(self, passages: Sequence[Passage]) -> None:
        """These wait for their vectors since *waiting* was read; smaller documents go before the largest listed."""
        largest = max(self.waiting.values(), default=0)
        added = Counter(passage.document_id for passage in passages)
        smaller = {document_id: count for document_id, count in added.items() if count < largest}
        if smaller.keys() - self.waiting.keys():
            self.waiting = dict(sorted((smaller | self.waiting).items(), key=itemgetter(1)))

    def note_done(self, passages: Sequence[Passage]) -> None:
        """These have their vectors."""
        for document_id, count in Counter(passage.document_id for passage in passages).items():
            remaining = self.waiting.get(document_id, 0) - count
            if remaining > 0:
                self.waiting[document_id] = remaining
            else:
                self.waiting.pop(document_id, None)


class Paces:
    """The two paces of a tenant: most batches are of small documents, each fourth is of the oldest."""

    def __init__(self) -> None:
        self._small, self._oldest, self._turn = Pace(), Pace(oldest_first=True), 0

    @property
    def current(self) -> Pace:
        """That of the batch at hand."""
        return self._oldest if self._turn % OLDEST_EVERY == OLDEST_EVERY - 1 else self._small

    def advance(self) -> None:
        """A batch is over, whatever came of it."""
        self._turn += 1

    def note_words(self, passages: Sequence[Passage]) -> None:
        """These wait for their vectors from now on; to the oldest they do not matter yet."""
        self._small.note_words(passages)

    def note_done(self, passages: Sequence[Passage]) -> None:
        """These have their vectors."""
        for pace in (self._small, self._oldest):
            pace.note_done(passages)
