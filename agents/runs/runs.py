"""Every turn as a run: begun by a request, worked on whoever watches, followed and cancelled from any worker."""

import asyncio
import contextvars
import logging
import math
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from agents.messages import question_message
from agents.reading import Answered
from agents.runner import Runner
from agents.runs.deletions import Deletions
from agents.runs.event_reader import RunEventReader
from agents.runs.handle import RunHandle
from agents.runs.live import TAKEN_OVER, LiveRun
from agents.runs.outbox import Outbox
from agents.runs.permission import check_again
from agents.runs.record import Event, RunRecord, approved, cancelled, failure, resumed
from agents.runs.run_store import LOST, Claimed, RunStore
from agents.tools.turn import Approval, CheckPermission, digest_call
from agents.transcripts import ListedConversation
from auth.principal import Principal
from domain.transcript_writing import FinishedTurn
from utils.checkpointer.errors import RunSuperseded
from utils.errors import Conflict, NotFound, NotReady, ProblemError, ReusedKey, StoreUnavailable
from utils.logging_config import log_facts, request_id
from utils.loops import repeat
from utils.moments import format_now
from utils.observers import RunObservers
from utils.ports import RunObserver
from utils.token_usage import measure_tokens
from utils.turns import current_tenant

logger = logging.getLogger("agents.runs")

_MOST_ATTEMPTS = 3  # a run that kills its worker must not kill them all
_MOST_TURNS = 3  # of one attempt whose conversation is taken from it
_LAST_WORDS_S = 2.0
_MOST_UNWRITTEN = 10_000


@dataclass(frozen=True, slots=True)
class RunPolicy:
    """How long runs are kept after their last event, and after how long without a sign of life another worker goes on
    with one."""

    keep_s: int
    hold_s: float


class Runs:
    """The runs of this worker, and a view of all.

    Args:
        run_store: where runs are known to every worker.
        check_permission: asked before a run is resumed.
        deletions: lets every worker know of conversations that are deleted.
        outbox: where turns that have ended wait for the transcript; None where there is none.
        observer: hears of every run of this process.
    """

    def __init__(
        self,
        runner: Runner,
        run_store: RunStore,
        policy: RunPolicy,
        *,
        check_permission: CheckPermission,
        deletions: Deletions,
        outbox: Outbox | None = None,
        observer: RunObserver | None = None,
    ) -> None:
        self._outbox = outbox
        self._runner, self._run_store, self._policy, self._deletions = runner, run_store, policy, deletions
        self._check_permission = check_permission
        self._observer = observer or RunObservers()
        self._following = RunEventReader(run_store)
        self._live: dict[str, LiveRun] = {}
        self._unwritten: dict[str, LiveRun] = {}  # they have ended, which Redis did not take
        self._heard_until: str | None = None  # in the stream of orders

    @property
    def is_draining(self) -> bool:
        """Whether this worker is about to stop."""
        return self._following.is_draining

    async def start(self, record: RunRecord, on_end: Callable[[int], None] = lambda tokens: None) -> RunHandle:
        """Begin the run, unless there is one of its id, from the same request.

        *on_end* is called with the tokens it has cost when this worker has come to the end of it; at once, where it
        does not begin one.

        Raises:
            ReusedKey: the run of that id came from another request.
        """
        # Kept for less, it would be gone before it counts as abandoned.
        keep_s = max(record.keep_s or self._policy.keep_s, math.ceil(2 * self._policy.hold_s))
        fingerprint, created_at = record.fingerprint or record.id, record.created_at or format_now()
        record = replace(record, fingerprint=fingerprint, created_at=created_at, keep_s=keep_s)
        try:
            return await self._begin(record, on_end)
        except BaseException:
            on_end(0)
            raise

    async def _begin(self, record: RunRecord, on_end: Callable[[int], None]) -> RunHandle:
        # Asked first, since Redis may have lost it.
        live = self._here(record.id)
        known = live.record.fingerprint if live else await self._run_store.begin(record)
        if not known:
            live = self._live_run(record)
            self._work_on(live).add_done_callback(lambda task: on_end(live.usage.tokens))
            return RunHandle(record.id, live, self._following, is_new=True)
        if known != record.fingerprint:
            raise ReusedKey("This Idempotency-Key came with another request before. Use a new one for a new request.")
        on_end(0)
        return RunHandle(record.id, live, self._following)

    async def resume(
        self, record: RunRecord, approval: Approval, on_end: Callable[[int], None] = lambda tokens: None
    ) -> RunHandle:
        """Go on with a run that waits for a person, with what that person said, on this worker. *on_end*: see `start`.

        Raises:
            Conflict: it does not wait for a word about this call.
            StoreUnavailable: Redis is away.
        """
        try:
            live = await self._take_up(record, approval)
        except BaseException:
            on_end(0)
            raise
        self._work_on(live, is_resumed=True).add_done_callback(lambda task: on_end(live.usage.tokens))
        return RunHandle(record.id, live, self._following)

    async def _take_up(self, record: RunRecord, approval: Approval) -> LiveRun:
        last = await self._run_store.last_event(record.id)
        if last is None or last[1]["type"] != "waiting" or last[1]["call"]["call_id"] != approval.call_id:
            raise _not_waiting(approval)
        stored = replace(approval, digest=digest_call(last[1]["call"])).store()
        if not await self._run_store.resume(record.id, stored):
            raise _not_waiting(approval)
        live = self._live_run(replace(record, status="running", approval=stored), last[0] + 1)
        live.emit(approved(record.id, approval))
        return live

    async def find(self, ctx: Principal, run_id: str) -> tuple[RunRecord, RunHandle]:
        """A run and what is known of it.

        Raises:
            NotFound: there is none of this id for the caller.
            StoreUnavailable: it is not this worker's, and Redis is away.
        """
        live = self._here(run_id)
        record = live.record if live else await self._run_store.record(run_id)
        if record is None or not record.is_of(ctx):
            raise NotFound("Run not found or expired.")
        return record, RunHandle(run_id, live, self._following)

    async def answer(self, ctx: Principal, conversation_id: str, run_id: str) -> Answered:
        """See `ConversationReader.answer`."""
        return await self._runner.answer(ctx, conversation_id, run_id)

    async def require_conversation(self, ctx: Principal, conversation_id: str) -> None:
        """See `ConversationReader.require`."""
        await self._runner.require(ctx, conversation_id)

    async def conversation(
        self, ctx: Principal, conversation_id: str, *, limit: int, before: int | None = None
    ) -> dict[str, Any]:
        """See `Runner.conversation`; with the question that is being answered now."""
        run_id = await self._runner.run_in(ctx, conversation_id)
        asked = None
        if run_id:
            with suppress(NotFound, StoreUnavailable):
                record, _ = await self.find(ctx, run_id)
                if record.status == "running":
                    asked = question_message(record.message, run_id, said_at=record.created_at)
                else:  # it was given up, and nobody else has asked since
                    run_id = None
        view = await self._runner.conversation(ctx, conversation_id, asked, limit=limit, before=before)
        unanswered = view.pop("unanswered", None)
        if run_id is None and unanswered is not None:
            with suppress(NotFound, StoreUnavailable):
                record, _ = await self.find(ctx, unanswered)
                if record.status == "waiting":
                    return {**view, "running": False, "waiting": True, "run_id": record.id}
        return {**view, "running": run_id is not None, "waiting": False, "run_id": run_id or None}

    async def restore(self, ctx: Principal, conversation_id: str) -> ListedConversation:
        """See `Runner.restore`."""
        return await self._runner.restore(ctx, conversation_id)

    async def delete(self, ctx: Principal, conversation_id: str, *, erases: bool) -> None:
        """See `Runner.delete`; answers that were kept of it go with it, also those of other workers."""
        await self._runner.delete(
            ctx, conversation_id, _RunsOf(self._deletions, self._outbox, self._forget), erases=erases
        )

    def list_unwritten(self) -> list[LiveRun]:
        """Runs that have ended here, of which Redis could not be told."""
        return list(self._unwritten.values())

    async def cancel(self, record: RunRecord) -> None:
        """End a run wherever it is, also one that waits for a person; one that has ended stays as it is.

        Raises:
            StoreUnavailable: it is another worker's, and Redis is away.
        """
        live = self._here(record.id)
        if live is not None:
            live.cancel()
        elif record.status == "waiting":
            await self._end_waiting(record)
        else:
            await self._run_store.cancel(record.id)

    async def _end_waiting(self, record: RunRecord) -> None:
        last = await self._run_store.last_event(record.id)
        if last is not None and await self._run_store.resume(record.id, ""):
            live = self._live_run(replace(record, status="running"), last[0] + 1)
            await live.end(cancelled(record.id))
            live.close()

    async def drain(self, within_s: float) -> None:
        """Take no runs over any more, let those under way end, and leave the rest to other workers."""
        self._following.is_draining = True
        until_s = time.monotonic() + within_s
        while (tasks := [live.task for live in self._live.values() if live.task]) and time.monotonic() < until_s:
            await asyncio.wait(tasks, timeout=min(until_s - time.monotonic(), 3600))
        left = [live for live in self._live.values() if live.task]
        for live in left:
            live.drop()
        if left:
            logger.info("Handing over %s runs to other workers.", len(left))
            await asyncio.wait([live.task for live in left if live.task], timeout=_LAST_WORDS_S)
            await asyncio.gather(*(self._run_store.leave(live.record.id) for live in left))
        if time.monotonic() >= until_s:
            self._following.close()
            await self._write_ends()

    async def keep(self) -> None:
        """Beat, take over what other workers have abandoned, and hear what is to be cancelled; until cancelled."""
        async with asyncio.TaskGroup() as group:
            beat_s = self._policy.hold_s / 4
            # The pause does not grow: without beats all runs of this worker would count as abandoned.
            beating = repeat(
                "The heartbeat of runs",
                self._beat,
                get_poll_s=lambda: beat_s,
                delay_s=beat_s,
                longest_pause_s=beat_s,
            )
            group.create_task(beating)
            group.create_task(repeat("Reading orders to runs", self._obey, get_poll_s=lambda: 1.0))

    # ----

    def _here(self, run_id: str) -> LiveRun | None:
        live = self._live.get(run_id) or self._unwritten.get(run_id)
        return live if live is not None and live.is_ours else None

    def _live_run(self, record: RunRecord, first: int = 1) -> LiveRun:
        ids = {"request_id": record.request_id, "trace_parent": record.trace_parent}
        watch = self._observer.begin(record.id, streams=record.streams, **ids)
        return LiveRun(record, self._run_store, watch, outbox=self._outbox, first=first)

    def _work_on(self, live: LiveRun, *, is_resumed: bool = False) -> asyncio.Task[None]:
        self._live[live.record.id] = live
        # A context of its own: what a request has in its own must end with it.
        live.task = asyncio.create_task(self._work(live, is_resumed), context=contextvars.Context())
        live.task.add_done_callback(lambda task: self._put_away(live))
        return live.task

    def _put_away(self, live: LiveRun) -> None:
        if self._live.get(live.record.id) is live:
            del self._live[live.record.id]

    async def _work(self, live: LiveRun, is_resumed: bool) -> None:
        record = live.record
        request_id.set(record.request_id)
        log_facts.set({**record.ctx.make_log_facts(), "run_id": record.id})
        current_tenant.set(record.ctx.tenant_id)
        live.usage = measure_tokens()
        try:
            live.begin_work()
            last = await self._run(live, is_resumed=is_resumed)
        except asyncio.CancelledError:
            last = [cancelled(record.id)] if live.is_cancelled else []
        except RunSuperseded:
            live.drop()
            last = []
        except Exception as error:
            live.failure, last = error, [failure(record.id, error, request_id=record.request_id)]
            if not isinstance(error, ProblemError) or error.status >= 500:
                logger.error("A run failed: %s", error, exc_info=error)
        if isinstance(live.failure, Conflict) and not live.has_begun:  # the same request may be sent again
            live.is_ending = True  # else a beat that finds it gone would bring it back
            await self._run_store.forget(record.id)
            live.refuse(*last)
        elif last:
            await live.end(*last)
            if live.is_unwritten and len(self._unwritten) < _MOST_UNWRITTEN:
                self._unwritten[record.id] = live
        live.close()

    async def _run(self, live: LiveRun, *, is_resumed: bool) -> list[Event]:
        for turns_left in reversed(range(_MOST_TURNS)):
            try:
                record = live.record
                if is_resumed:
                    record = replace(record, ctx=await check_again(self._check_permission, record))
                return await self._runner.run(record, live.emit, is_resumed=is_resumed)
            except RunSuperseded:
                # Another run may have the conversation, since nothing was heard of this one: then this comes after it.
                if not turns_left or not await live.is_still_ours():
                    raise
            live.emit(resumed(live.record.id))
            is_resumed = True
        raise AssertionError("every turn has returned or raised")

    async def _beat(self) -> None:
        ours = [live for live in self._live.values() if live.is_ours]
        states = await self._run_store.beat(live.record for live in ours)
        for live in ours:
            await self._hear(live, states.get(live.record.id))
        await self._write_ends()
        await self._take_over()

    async def _write_ends(self) -> None:
        """Tell the run store of ends that it could not take, so that nobody takes those runs over."""
        for run_id, live in list(self._unwritten.items()):
            await live.flush()
            if live.is_unwritten:
                return  # Redis is still away
            self._unwritten.pop(run_id, None)

    async def _hear(self, live: LiveRun, state: int | None) -> None:
        if state == LOST and not live.is_ending:  # or Redis did not answer when it began
            await live.register()
        elif state is not None:
            live.heard(state)

    async def _take_over(self) -> None:
        while not self.is_draining and (claimed := await self._run_store.claim_abandoned()):
            for one in claimed:
                if self.is_draining:
                    await self._run_store.leave(one.record.id)
                elif one.record.id not in self._live and one.record.id not in self._unwritten:
                    await self._go_on(one)

    async def _go_on(self, claimed: Claimed) -> None:
        record = claimed.record
        live = self._live_run(record, claimed.last + TAKEN_OVER)
        facts = {"run_id": record.id, "attempt": record.attempts}
        logger.warning("The worker of a run died; resuming the run.", extra=facts)
        if claimed.cancelled:
            await live.end(cancelled(record.id))
            live.close()
        elif record.attempts > _MOST_ATTEMPTS or not claimed.is_readable:
            given_up = NotReady("The answer was interrupted several times and was given up. Ask again.")
            await live.end(failure(record.id, given_up, request_id=record.request_id))
            live.close()
        else:
            live.emit(resumed(record.id))
            self._work_on(live, is_resumed=True)

    async def _obey(self) -> bool:
        """Carry out the next orders to all workers; False where Redis is away."""
        place, self._heard_until = self._heard_until or await self._run_store.last_control(), None
        heard = None if place is None else await self._run_store.orders(place, wait_ms=1000)
        if heard is None:
            # From the end next time: a Redis that has lost its data begins anew. Beats tell of what was missed.
            return False
        for order in heard:
            place = order.place
            if order.name == "deleted":
                self._forget(order.about)
            elif order.name == "cancel" and (live := self._live.get(order.about)):
                live.cancel()
        self._heard_until = place
        return True

    def _forget(self, thread_id: str) -> None:
        """Drop what this process holds of a conversation that was deleted."""
        for run_id, live in list(self._unwritten.items()):
            if live.record.thread_id == thread_id:
                del self._unwritten[run_id]
        self._runner.forget(thread_id)


def _not_waiting(approval: Approval) -> Conflict:
    return Conflict(f"This run does not wait for a decision about the call {approval.call_id!r}. Read the run again.")


@dataclass(frozen=True, slots=True)
class _RunsOf:
    """A `RunDeletion`; *forget* drops what this process holds of a conversation."""

    deletions: Deletions
    outbox: Outbox | None
    forget: Callable[[str], None]

    async def list_waiting(self, thread_id: str) -> list[FinishedTurn]:
        """See `RunDeletion`.

        Raises:
            StoreUnavailable: Redis did not answer.
        """
        run_ids = await self.deletions.list_runs(thread_id)
        return [] if self.outbox is None else await self.outbox.find(run_ids)

    async def delete(self, thread_id: str) -> int:
        """See `Deletions.delete_runs`."""
        count = await self.deletions.delete_runs(thread_id)
        self.forget(thread_id)
        return count
