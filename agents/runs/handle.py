"""A run as those see it who asked for it or watch it, wherever it is worked on."""

from collections.abc import AsyncGenerator
from contextlib import aclosing

from agents.runs.codec import Batch
from agents.runs.event_reader import RunEventReader
from agents.runs.live import LiveRun
from agents.runs.record import ENDS, Event
from utils.errors import Conflict, NotReady, RunFailed


class RunHandle:
    """A run, to be followed. `is_new`: this request has begun it.

    Args:
        live: the run, where this worker works on it.
        following: for what other workers tell of it.
    """

    def __init__(self, run_id: str, live: LiveRun | None, following: RunEventReader, *, is_new: bool = False) -> None:
        self.id, self.is_new = run_id, is_new
        self._live, self._following = live, following

    async def follow(self, after: int = 0, quiet_s: float | None = None) -> AsyncGenerator[Batch, None]:
        """The events after number *after*, several at a time. Ends with the run, or when this worker stops.

        An empty batch comes when there was none for *quiet_s* seconds; of a run of another worker, every few seconds.

        Raises:
            NotFound: the run has expired.
            StoreUnavailable: it is another worker's, and Redis is away.
        """
        if self._live is not None:
            if earlier := await self._find_earlier(self._live, after):
                yield earlier
                after = earlier[-1][0]
            async with aclosing(self._live.follow(after, quiet_s)) as batches:
                async for batch in batches:
                    yield batch
                    after = batch[-1][0] if batch else after
            if self._live.is_ours or self._following.is_draining:
                return
        async with aclosing(self._following.follow(self.id, after)) as batches:
            async for batch in batches:
                yield batch

    async def _find_earlier(self, live: LiveRun, after: int) -> Batch:
        """What was told before the run waited for a person; the worker that goes on with it does not have it."""
        if not live.record.approval or after + 1 >= live.first:
            return []
        events = await self._following.read(self.id, after)
        return [(number, event) for number, event in events if number < live.first and event["type"] != "waiting"]

    async def wait(self) -> Event:
        """Its end, `done`; or `waiting`, where a person has to say whether it goes on.

        Raises:
            RunFailed: it failed.
            Conflict: it was cancelled.
            NotReady: this worker stops, and another goes on with it.
        """
        last: Event = {}
        async with aclosing(self.follow()) as batches:
            async for batch in batches:
                last = batch[-1][1] if batch else last
        if last.get("type") not in ENDS:
            raise NotReady(
                f"The service is restarting. The answer will still be written: get it with GET /v1/runs/{self.id}.",
                headers={"Retry-After": "5"},
                members={"run_id": self.id},
            )
        if last["type"] == "cancelled":
            raise Conflict("This run was cancelled.", members={"run_id": self.id})
        if last["type"] == "error":
            raise self.make_failure(last)
        return last

    async def end(self) -> Event | None:
        """How it ended; None if it has not.

        Raises:
            StoreUnavailable: it is another worker's, and Redis is away.
        """
        if self._live is not None and self._live.is_ours:
            last = self._live.last_event
        else:
            last = await self._following.get_last_event(self.id)
        return last if last and last["type"] in ENDS else None

    def make_failure(self, last: Event) -> RunFailed:
        """The error that an `error` event tells of."""
        headers = getattr(self._live.failure, "headers", None) if self._live else None
        return RunFailed(last["problem"], headers=headers)

    def leave(self) -> None:
        """Whoever asked has left: cancel the run, unless somebody else follows it here.

        While this worker stops it is not cancelled: then it is the worker that hangs up.
        """
        live = self._live
        if live is not None and not live.followers and not live.has_ended and not self._following.is_draining:
            live.cancel()
