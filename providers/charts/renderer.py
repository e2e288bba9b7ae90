"""Draws charts as PNG: each in a process of its own in the sandbox, without files, network or another one's data."""

import asyncio
import hashlib
import json
import logging
import time
from collections.abc import Callable, Mapping
from typing import Any

from utils.errors import NotReady
from utils.expiring import Expiring
from utils.sandbox.jobs import SandboxJob
from utils.sandbox.process import ProcessEnded, SandboxedProcess

logger = logging.getLogger(__name__)

_ADDRESS_BYTES = 80_000_000_000  # V8 reserves 64 GB of its address space; `drawing` limits what it fills
_CPU_S, _AT_ONCE = 10, 2
_MAX_KEPT, _MAX_KEPT_BYTES, _KEPT_S = 16, 500_000, 300.0
_SCALE, _LONGEST_SIDE = 2.0, 2_000
_MAX_SPEC_BYTES, _MAX_PICTURE_BYTES, _ANSWER_BYTES = 500_000, 10_000_000, 4_000
_FAILED = "The picture of this chart cannot be drawn at present. Its spec and its figures are in the answer."
_JOB = SandboxJob(
    serve="providers.charts.drawing:serve",
    prepare="providers.charts.drawing:prepare",
    memory_bytes=_ADDRESS_BYTES,
    cpu_s=_CPU_S,
)
Start = Callable[[SandboxJob], SandboxedProcess]


class ChartRenderer:
    """Draws specs of Vega-Lite that `datasources.charts` wrote, two at a time. *start* starts a job in the sandbox.

    `drawn_count`, `failed_count` and `drawing_s` say how many were since the start, and for how long.
    """

    def __init__(self, start: Start, *, deadline_s: float = 10.0) -> None:
        self._start, self._deadline_s = start, deadline_s
        self._turns = asyncio.Semaphore(_AT_ONCE)
        self.drawn_count, self.failed_count, self.drawing_s = 0, 0, 0.0
        self._drawn: Expiring[bytes, bytes] = Expiring(_MAX_KEPT, _KEPT_S)

    async def draw(self, spec: Mapping[str, Any]) -> bytes:
        """The picture as PNG, with two pixels for each of the spec's; the last ones are kept for a while.

        Raises:
            NotReady: it cannot be drawn, or not within the limits; the log says why.
        """
        request = json.dumps({"spec": spec, "scale": _SCALE}, ensure_ascii=False).encode() + b"\n"
        if not _is_small(spec, len(request)):
            raise NotReady("This chart is too large to be drawn as a picture: ask for fewer figures.")
        key = hashlib.sha256(request).digest()
        if (cached := self._drawn.get(key)) is not None:
            return cached
        async with self._turns:
            began_s = time.monotonic()
            try:
                picture = await asyncio.to_thread(self._draw, request)
            except NotReady:
                self.failed_count += 1
                raise
            finally:
                self.drawing_s += time.monotonic() - began_s
        self.drawn_count += 1
        if len(picture) <= _MAX_KEPT_BYTES:
            self._drawn.put(key, picture)
        return picture

    def _draw(self, request: bytes) -> bytes:
        deadline = time.monotonic() + self._deadline_s
        try:
            with self._start(_JOB) as process:
                process.write(request, deadline)
                head = json.loads(process.read_line(_ANSWER_BYTES, deadline))
                if 0 < head["size_bytes"] <= _MAX_PICTURE_BYTES:
                    return process.read(head["size_bytes"], deadline)
                logger.error("A chart cannot be drawn: %s", head.get("broken", f"{head['size_bytes']} bytes"))
        except ProcessEnded as exc:
            logger.error("A chart cannot be drawn: its process ended (%s)", exc)
        raise NotReady(_FAILED)


def _is_small(spec: Mapping[str, Any], size_bytes: int) -> bool:
    """Whether it says itself how large it is, and has its data inside. The process is limited as well."""
    # A step in place of a number would let the data say how large it becomes.
    sides = [spec.get(name) for name in ("width", "height")]
    is_fixed = all(isinstance(side, int) and 0 < side <= _LONGEST_SIDE for side in sides)
    return is_fixed and size_bytes <= _MAX_SPEC_BYTES and set(spec.get("data", ())) == {"values"}
