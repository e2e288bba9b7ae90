"""Every turn as a run: begun by a request, worked on whoever watches, followed and cancelled from any worker."""

import asyncio
import logging
import math
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, replace
from typing import Any

from agents.runs.event_reader import RunEventReader
from agents.runs.handle import RunHandle
from agents.runs.live import TAKEN_OVER, LiveRun
from agents.runs.record import (
    Claimed,
    Event,
    RunRecord,
    make_approval_event,
    make_cancelled_event,
    make_error_event,
    make_resumed_event,
)
from agents.runs.run_store import LOST, RunStore
from agents.runs.worker import RunWorker
from agents.tools.turn import Approval
from auth.principal import Principal
from utils.cancelling import run_to_end
from utils.errors import Conflict, NotFound, NotReady, ReusedKey
from utils.loops import repeat
from utils.moments import format_now

logger = logging.getLogger("agents.runs")

_MAX_ATTEMPTS = 3  # a run that kills its worker must not kill them all
_LAST_WORDS_S = 2.0


@dataclass(frozen=True, slots=True)
class RunPolicy:
    """How long runs are kept after their last event, and after how long without a sign of life another worker goes on
    with one."""

    keep_s: int
    hold_s: float


class Runs:
    """The runs of this worker, and a view of all.

    Args:
        worker: works on those of this process.
        run_store: where runs are known to every worker.
    """

    def __init__(self, worker: RunWorker, run_store: RunStore, policy: RunPolicy) -> None:
        self._worker, self._run_store, self._policy = worker, run_store, policy
        self._following = RunEventReader(run_store)
        self._control_place: str | None = None  # in the control stream

    @property
    def is_draining(self) -> bool:
        """Whether this worker is about to stop."""
        return self._following.is_draining

    async def start(
        self,
        record: RunRecord,
        on_end: Callable[[int], None] = lambda tokens: None,
        *,
        ends_with_caller: bool = False,
    ) -> RunHandle:
        """Begin the run, unless there is one of its id, from the same request.

        *on_end* is called with the tokens it has cost when this worker has come to the end of it; at once, where it
        does not begin one. Where the caller leaves meanwhile, the run is begun nevertheless, and cancelled if it
        *ends_with_caller*: Redis may know it, and another worker would take it over.

        Raises:
            ReusedKey: the run of that id came from another request.
        """
        # Kept for less, it would be gone before it counts as abandoned.
        keep_s = max(record.keep_s or self._policy.keep_s, math.ceil(2 * self._policy.hold_s))
        fingerprint, created_at = record.fingerprint or record.id, record.created_at or format_now()
        record = replace(record, fingerprint=fingerprint, created_at=created_at, keep_s=keep_s)
        undo = _leave if ends_with_caller else None
        return await run_to_end(_call_if_it_fails(on_end, self._begin(record, on_end)), undo=undo)

    async def _begin(self, record: RunRecord, on_end: Callable[[int], None]) -> RunHandle:
        # Asked first, since Redis may have lost it.
        live = self._worker.find(record.id)
        fingerprint = live.record.fingerprint if live else await self._run_store.begin(record)
        if not fingerprint:
            live = self._worker.open(record)
            self._worker.work_on(live).add_done_callback(lambda task: on_end(live.usage.tokens))
            return RunHandle(record.id, live, self._following, is_new=True)
        if fingerprint != record.fingerprint:
            raise ReusedKey
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
        return await run_to_end(_call_if_it_fails(on_end, self._go_on(record, approval, on_end)))

    async def _go_on(self, record: RunRecord, approval: Approval, on_end: Callable[[int], None]) -> RunHandle:
        live = await self._claim_waiting(record, approval)
        self._worker.work_on(live, is_resumed=True).add_done_callback(lambda task: on_end(live.usage.tokens))
        return RunHandle(record.id, live, self._following)

    async def _claim_waiting(self, record: RunRecord, approval: Approval) -> LiveRun:
        last = await self._run_store.read_last_event(record.id)
        if last is None or last[1]["type"] != "waiting" or last[1]["call"]["call_id"] != approval.call_id:
            raise _make_not_waiting_error(approval)
        stored = approval.store()
        if not await self._run_store.resume(record.id, stored):
            raise _make_not_waiting_error(approval)
        live = self._worker.open(replace(record, status="running", approval=stored), last[0] + 1)
        live.emit(make_approval_event(record.id, approval))
        return live

    async def find(self, ctx: Principal, run_id: str) -> tuple[RunRecord, RunHandle]:
        """A run and what is known of it.

        Raises:
            NotFound: there is none of this id for the caller.
            StoreUnavailable: it is not this worker's, and Redis is away.
        """
        live = self._worker.find(run_id)
        record = live.record if live else await self._run_store.record(run_id)
        if record is None or not record.is_of(ctx):
            raise NotFound("Run not found or expired.")
        return record, RunHandle(run_id, live, self._following)

    async def cancel(self, record: RunRecord) -> tuple[RunRecord, RunHandle]:
        """End a run wherever it is, also one that waits for a person; one that has ended stays as it is. Gives what is
        known of it then.

        Raises:
            NotFound: it has expired.
            StoreUnavailable: it is another worker's, and Redis is away.
        """
        while not await self._try_to_cancel(record):
            pass  # it began to wait, or was gone on with, in between
        return await self.find(record.ctx, record.id)

    async def _try_to_cancel(self, record: RunRecord) -> bool:
        live = self._worker.find(record.id)
        if live is not None and (live.is_unwritten or not live.has_ended):
            live.cancel()
            return True
        return await self._run_store.cancel(record.id) != "waiting" or await run_to_end(self._end_waiting(record))

    async def _end_waiting(self, record: RunRecord) -> bool:
        """End a run that waits for a person; False if it does not wait any more."""
        last = await self._run_store.read_last_event(record.id)
        if last is None:
            return True  # it has expired
        if not await self._run_store.resume(record.id, ""):
            return False
        live = self._worker.open(replace(record, status="running"), last[0] + 1)
        await _end(live, make_cancelled_event(record.id))
        return True

    async def drain(self, within_s: float) -> None:
        """Take no runs over any more, let those under way end, and leave the rest to other workers."""
        self._following.is_draining = True
        until_s = time.monotonic() + within_s
        while (tasks := [live.task for live in self._worker.list_live() if live.task]) and time.monotonic() < until_s:
            await asyncio.wait(tasks, timeout=min(until_s - time.monotonic(), 3600))
        unfinished = [live for live in self._worker.list_live() if live.task]
        for live in unfinished:
            live.drop()
        if unfinished:
            logger.info("Handing over %s runs to other workers.", len(unfinished))
            await asyncio.wait([live.task for live in unfinished if live.task], timeout=_LAST_WORDS_S)
            await asyncio.gather(*(self._run_store.leave(live.record.id) for live in unfinished))
        if time.monotonic() >= until_s:
            self._following.close()
            await self._worker.write_ends()

    async def maintain(self) -> None:
        """Beat, take over what other workers have abandoned, and do what all workers are told; until cancelled."""
        async with asyncio.TaskGroup() as group:
            beat_s = self._policy.hold_s / 4
            # The pause does not grow: without beats all runs of this worker would count as abandoned.
            beating = repeat(
                "The heartbeat of runs",
                self._send_heartbeats,
                get_poll_s=lambda: beat_s,
                delay_s=beat_s,
                longest_pause_s=beat_s,
            )
            group.create_task(beating)
            group.create_task(repeat("Reading orders to runs", self._read_control, get_poll_s=lambda: 1.0))

    async def _send_heartbeats(self) -> None:
        ours = [live for live in self._worker.list_live() if live.is_ours]
        states = await self._run_store.send_heartbeat(live.record for live in ours)
        for live in ours:
            await self._apply_state(live, states.get(live.record.id))
        await self._worker.write_ends()
        await self._take_over()

    async def _apply_state(self, live: LiveRun, state: int | None) -> None:
        if state == LOST and not live.is_ending:  # or Redis did not answer when it began
            await live.register()
        elif state is not None:
            live.apply_state(state)

    async def _take_over(self) -> None:
        while not self.is_draining and (claimed := await self._run_store.claim_abandoned()):
            for one in claimed:
                if self.is_draining:
                    await self._run_store.leave(one.record.id)
                elif not self._worker.holds(one.record.id):
                    await self._resume_abandoned(one)

    async def _resume_abandoned(self, claimed: Claimed) -> None:
        record = claimed.record
        live = self._worker.open(record, claimed.last + TAKEN_OVER)
        facts = {"run_id": record.id, "attempt": record.attempts}
        logger.warning("The worker of a run died; resuming the run.", extra=facts)
        if claimed.cancelled:
            await _end(live, make_cancelled_event(record.id))
        elif record.attempts > _MAX_ATTEMPTS or not claimed.is_readable:
            error = NotReady("The answer was interrupted several times and was given up. Ask again.")
            await _end(live, make_error_event(record.id, error, request_id=record.request_id))
        else:
            live.emit(make_resumed_event(record.id))
            self._worker.work_on(live, is_resumed=True)

    async def _read_control(self) -> bool:
        """Do what all workers are told next; False where Redis is away."""
        place, self._control_place = self._control_place or await self._run_store.find_control_position(), None
        messages = None if place is None else await self._run_store.read_control(place, wait_ms=1000)
        if messages is None:
            # From the end next time: a Redis that has lost its data begins anew. Beats tell of what was missed.
            return False
        for message in messages:
            place = message.place
            if message.name == "deleted":
                self._worker.drop_conversation(message.about)
            elif message.name == "cancel" and (live := self._worker.find(message.about)):
                live.cancel()
        self._control_place = place
        return True


async def _call_if_it_fails(on_end: Callable[[int], None], work: Coroutine[Any, Any, RunHandle]) -> RunHandle:
    try:
        return await work
    except BaseException:
        on_end(0)
        raise


async def _leave(run: RunHandle) -> None:
    if run.is_new:
        run.leave()


async def _end(live: LiveRun, last: Event) -> None:
    """End a run that nobody works on."""
    await live.end(last)
    live.close()


def _make_not_waiting_error(approval: Approval) -> Conflict:
    return Conflict(f"This run does not wait for a decision about the call {approval.call_id!r}. Read the run again.")
