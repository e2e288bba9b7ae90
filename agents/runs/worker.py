"""Works on the runs of this process, each in a task of its own, and holds those whose end Redis could not be told."""

import asyncio
import contextvars
import logging
from dataclasses import replace

from agents.runner import RunDeleted, Runner
from agents.runs.live import LiveRun
from agents.runs.outbox import Outbox
from agents.runs.permission import check_again
from agents.runs.record import Event, RunRecord, make_cancelled_event, make_error_event, make_resumed_event
from agents.runs.run_store import RunStore
from agents.tools.turn import CheckPermission
from utils.checkpointer.errors import RunSuperseded
from utils.errors import Conflict, NotFound, ProblemError
from utils.logging_config import log_facts, request_id
from utils.ports import RunObserver
from utils.token_usage import measure_tokens
from utils.turns import current_tenant

logger = logging.getLogger("agents.runs")

_MAX_TURNS = 3  # of one attempt whose conversation is taken from it
_MAX_UNWRITTEN = 10_000


class RunWorker:
    """The runs that this process works on.

    Args:
        check_permission: asked before a run is resumed.
        outbox: where turns that have ended wait for the transcript.
        observer: hears of every run of this process.
    """

    def __init__(
        self,
        runner: Runner,
        run_store: RunStore,
        *,
        check_permission: CheckPermission,
        outbox: Outbox,
        observer: RunObserver,
    ) -> None:
        self._runner, self._run_store, self._outbox = runner, run_store, outbox
        self._check_permission, self._observer = check_permission, observer
        self._live: dict[str, LiveRun] = {}
        self._unwritten: dict[str, LiveRun] = {}  # they have ended, which Redis did not take

    def find(self, run_id: str) -> LiveRun | None:
        """The run, if it is this process's, also after its end where Redis was not told."""
        live = self._live.get(run_id) or self._unwritten.get(run_id)
        return live if live is not None and live.is_ours else None

    def holds(self, run_id: str) -> bool:
        """Whether the run is here, be it ours or another worker's since."""
        return run_id in self._live or run_id in self._unwritten

    def list_live(self) -> list[LiveRun]:
        """Runs that are worked on."""
        return list(self._live.values())

    def list_unwritten(self) -> list[LiveRun]:
        """Runs that have ended here, of which Redis could not be told."""
        return list(self._unwritten.values())

    def open(self, record: RunRecord, first: int = 1) -> LiveRun:
        """The run as one of this process, not yet worked on; *first*: the number of its first event here."""
        ids = {"request_id": record.request_id, "trace_parent": record.trace_parent}
        watch = self._observer.begin(record.id, streams=record.streams, **ids)
        return LiveRun(record, self._run_store, watch, outbox=self._outbox, first=first)

    def work_on(self, live: LiveRun, *, is_resumed: bool = False) -> asyncio.Task[None]:
        """Work on the run, in a task that ends with it."""
        self._live[live.record.id] = live
        # A context of its own: what a request has in its own must end with it.
        live.task = asyncio.create_task(self._work(live, is_resumed), context=contextvars.Context())
        live.task.add_done_callback(lambda task: self._remove(live))
        return live.task

    async def write_ends(self) -> None:
        """Tell the run store of ends that it could not take, so that nobody takes those runs over."""
        for run_id, live in list(self._unwritten.items()):
            await live.write_end()
            if live.is_unwritten:
                return  # Redis is still away
            self._unwritten.pop(run_id, None)

    def drop_conversation(self, thread_id: str) -> None:
        """Drop what this process holds of a conversation that was deleted."""
        for run_id, live in list(self._unwritten.items()):
            if live.record.thread_id == thread_id:
                del self._unwritten[run_id]
        self._runner.drop_conversation(thread_id)

    def _remove(self, live: LiveRun) -> None:
        if self._live.get(live.record.id) is live:
            del self._live[live.record.id]

    async def _work(self, live: LiveRun, is_resumed: bool) -> None:
        record = live.record
        request_id.set(record.request_id)
        log_facts.set({**record.ctx.make_log_facts(), "run_id": record.id})
        current_tenant.set(record.ctx.tenant_id)
        live.usage = measure_tokens()
        last = await self._run_to_end(live, is_resumed)
        is_refused = isinstance(live.failure, Conflict | NotFound) and not live.has_begun  # it may be sent again
        if is_refused or isinstance(live.failure, RunDeleted):  # of a deleted conversation no turn may be kept
            live.is_ending = True  # else a beat that finds it gone would bring it back
            await self._run_store.forget(record.id)
            live.refuse(*last)
        elif last:
            await live.end(*last)
            if live.is_unwritten and len(self._unwritten) < _MAX_UNWRITTEN:
                self._unwritten[record.id] = live
        live.close()

    async def _run_to_end(self, live: LiveRun, is_resumed: bool) -> list[Event]:
        """Its last events, whatever happens; none where another worker goes on with it."""
        try:
            if is_resumed:
                await live.flush()  # whoever cancelled it just before could not tell this worker
            live.begin_work()
            return await self._run(live, is_resumed=is_resumed)
        except asyncio.CancelledError:
            return [make_cancelled_event(live.record.id)] if live.is_cancelled else []
        except RunSuperseded:
            live.drop()
            return []
        except RunDeleted as error:
            live.failure = error
            return [make_cancelled_event(live.record.id)]
        except Exception as error:
            live.failure = error
            if not isinstance(error, ProblemError) or error.status >= 500:
                logger.error("A run failed: %s", error, exc_info=error)
            return [make_error_event(live.record.id, error, request_id=live.record.request_id)]

    async def _run(self, live: LiveRun, *, is_resumed: bool) -> list[Event]:
        for turns_left in reversed(range(_MAX_TURNS)):
            try:
                record = live.record
                if is_resumed:
                    record = replace(record, ctx=await check_again(self._check_permission, record))
                return await self._runner.run(record, live.emit, keep_trace=live.keep_trace, is_resumed=is_resumed)
            except RunSuperseded:
                # Another run may have the conversation, since nothing was heard of this one: then this comes after it.
                if not turns_left or not await live.is_still_ours():
                    raise
            live.emit(make_resumed_event(live.record.id))
            is_resumed = True
        raise AssertionError("every turn has returned or raised")
