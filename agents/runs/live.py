"""A run as the worker that works on it sees it: its events, those who follow them, and their way to the run store."""

import asyncio
from collections.abc import AsyncGenerator

from agents.runs.codec import Batch
from agents.runs.outbox import Outbox, WaitingTurn, make_finished_turn
from agents.runs.record import ENDS, Event, RunRecord, make_cancelled_event
from agents.runs.run_store import ADDED, EVENTS_MISSING, LOST, TAKEN, UNWANTED, RunStore
from agents.traces import Trace
from domain.transcript_writing import FinishedTurn
from utils.checkpointer.errors import CheckpointConflict
from utils.errors import Conflict
from utils.ports import RunOutcome, RunWatch
from utils.ticks import sleep_to_a_tick
from utils.token_usage import TokenUsage

_FLUSH_S = 0.2  # events gather for so long on their way to Redis: a script call for each token would cost too much
TAKEN_OVER = 10_000  # numbers left out when a run is taken over: more than its first worker may have told unwritten


class LiveRun:
    """The events of a run so far, and those to come.

    Followers read from one list, so that a slow one holds up nobody and costs no memory of its own. `failure` is what
    made the run fail, for whoever waits on this worker. `is_ours` ends when another worker has taken it over, or it was
    left to one: then no end is told here. `is_ending`: nothing can stop it any more. `turn`: what it came to, once it
    has ended, until it is in the transcript or waits in Redis for that. `first`: the number of the first event that is
    told here.

    Args:
        outbox: where turns wait for the transcript; None where there is none.
    """

    def __init__(
        self,
        record: RunRecord,
        run_store: RunStore,
        watch: RunWatch,
        *,
        outbox: Outbox | None = None,
        first: int = 1,
    ) -> None:
        self.record = record
        self.failure: Exception | None = None
        self.is_ours, self.is_cancelled, self.is_ending = True, False, False
        self.followers = 0
        self.usage = TokenUsage()
        self.task: asyncio.Task[None] | None = None
        self.turn: FinishedTurn | None = None
        self._trace: Trace | None = None
        self._waiting: WaitingTurn | None = None
        self._run_store, self._watch, self._outbox = run_store, watch, outbox
        self.first = first
        self._events: list[Event] = []
        self._visible_count = 0  # how many of them followers may see
        self._written = 0  # how many are in the run store
        self._writing = asyncio.Lock()
        self._is_at_work = False
        self._flushing: asyncio.Task[None] | None = None
        self._news = asyncio.Event()

    @property
    def has_begun(self) -> bool:
        """Whether anything was told of it."""
        return bool(self._events)

    @property
    def last_event(self) -> Event | None:
        """What was told last."""
        return self._events[self._visible_count - 1] if self._visible_count else None

    @property
    def has_ended(self) -> bool:
        """Whether there is nothing more to come here."""
        last = self.last_event
        return not self.is_ours or (last is not None and last["type"] in ENDS)

    @property
    def is_unwritten(self) -> bool:
        """Whether the run store lacks something of it that it is ours to write."""
        return self.is_ours and self._written < len(self._events)

    def begin_work(self) -> None:
        """From now on its task is cancelled to stop it: one that has not begun would end without a word.

        Raises:
            CancelledError: it was stopped before.
        """
        self._is_at_work = True
        if self.is_cancelled or not self.is_ours:
            raise asyncio.CancelledError

    def keep_trace(self, trace: Trace) -> None:
        """Let the transcript have *trace* with the answer."""
        self._trace = trace

    def emit(self, event: Event) -> None:
        """Tell an event; it is in the run store a moment later, where somebody may follow the run."""
        self._events.append(event)
        self._watch.note_event(event)
        self._publish()
        if self.record.streams and self._flushing is None:
            self._flushing = asyncio.create_task(self._flush_soon())

    async def end(self, *events: Event) -> None:
        """Tell the last events, of which the final one is an end; they are stored before anybody sees them."""
        self.is_ending = True
        self._events += events
        if self._outbox is not None and events[-1]["type"] != "waiting":  # that is no end of the turn
            self.turn = make_finished_turn(self.record, events[-1], self.usage.tokens, self._trace)
            self._waiting = self._outbox.make_waiting(self.turn)
        await self.write_end()
        if self.is_ours:
            self.record = self.record.with_end(self._events[-1])
            self._publish()

    async def write_end(self) -> None:
        """Store the last events; one that was to wait for a person, and was cancelled meanwhile, is ended."""
        await self.flush()
        if self.is_ours and self.is_cancelled and self._events[-1]["type"] == "waiting":
            await self.end(make_cancelled_event(self.record.id))

    def refuse(self, event: Event) -> None:
        """End a run that could not begin: told here only."""
        self._events.append(event)
        self._publish()

    def close(self) -> None:
        """Nothing more is done here; its watch hears how it ended."""
        outcome, problem = _find_outcome(self.last_event if self.is_ours else None, self)
        self._watch.note_end(outcome, problem=problem)

    def cancel(self) -> None:
        """Stop working on it, and tell that this was its end; an end that is being told already stays, unless it is
        that it waits."""
        self.is_cancelled = True
        self._stop()

    def drop(self) -> None:
        """Stop working on it, and tell nothing: it is another worker's from now on."""
        self.is_ours = False
        self._stop()
        self._wake()

    async def follow(self, after: int, quiet_s: float | None = None) -> AsyncGenerator[Batch, None]:
        """The events after number *after*, several at a time, to the end or until the run is not ours any more.

        An empty batch comes when there was none for *quiet_s* seconds.
        """
        at = max(0, after - self.first + 1)
        self.followers += 1
        try:
            while True:
                if at < self._visible_count:
                    batch = self._batch(at, self._visible_count)
                    at = self._visible_count
                    yield batch
                elif self.has_ended:
                    return
                else:
                    try:
                        async with asyncio.timeout(quiet_s):
                            await self._news.wait()
                    except TimeoutError:
                        yield []
        finally:
            self.followers -= 1

    def _stop(self) -> None:
        if self.task is not None and self._is_at_work and not self.is_ending:
            self.task.cancel()

    def _batch(self, begin: int, end: int) -> Batch:
        return list(enumerate(self._events[begin:end], self.first + begin))

    def _publish(self) -> None:
        self._visible_count = len(self._events)
        self._wake()

    def _wake(self) -> None:
        news, self._news = self._news, asyncio.Event()
        news.set()

    async def _flush_soon(self) -> None:
        await sleep_to_a_tick(_FLUSH_S)
        self._flushing = None
        await self.flush()

    async def flush(self) -> None:
        """Write to the run store what is not there yet."""
        async with self._writing:
            upto = len(self._events)
            if upto == self._written:
                return
            before = self.first + self._written - 1 if self._written else 0
            batch, waiting = self._batch(self._written, upto), self._waiting
            state = await self._run_store.append(self.record, batch, after=before, turn=waiting)
            if state == LOST:  # or Redis did not answer when it began
                await self._run_store.begin(self.record)
            if state in (LOST, EVENTS_MISSING):
                state = await self._run_store.append(self.record, self._batch(0, upto), turn=waiting)
            if state is not None and state > LOST:
                self._written = upto
                if waiting is not None:
                    self._queue_turn(state)
                self.apply_state(state)

    def _queue_turn(self, state: int) -> None:
        if state == ADDED and self._outbox is not None and self.turn is not None:
            self._outbox.note_own(self.turn)
        self.turn = None

    async def is_still_ours(self) -> bool:
        """Whether no other worker has taken it over, as far as Redis knows; one that Redis has lost is told it anew."""
        state = await self._run_store.append(self.record, [])
        if state == LOST:
            await self.register()
        elif state is not None:
            self.apply_state(state)
        return self.is_ours and not self.is_cancelled and state is not None

    async def register(self) -> None:
        """Tell Redis, which has lost it, of the run and what it has told so far."""
        async with self._writing:
            await self._run_store.begin(self.record)
            self._written, had = 0, self._written
        if had:
            await self.flush()

    def apply_state(self, state: int) -> None:
        """Do as the run store says of it."""
        if state == TAKEN and self.is_ours:
            self.drop()
        elif state == UNWANTED and not self.is_cancelled:
            self.cancel()


def _find_outcome(last: Event | None, run: LiveRun) -> tuple[RunOutcome, str]:
    match last:
        case {"type": "done", "clarification": dict()}:
            return "asked_back", ""
        case {"type": "done", "answered": answered}:
            return ("answered" if answered else "refused"), ""
        case {"type": "error", "problem": problem}:
            is_busy = isinstance(run.failure, Conflict) and not isinstance(run.failure, CheckpointConflict)
            return ("busy" if is_busy else "failed"), str(problem["type"]).rpartition(":")[2]
        case {"type": "cancelled"}:
            return "cancelled", ""
        case {"type": "waiting"}:
            return "waiting", ""
    return "handed_over", ""
