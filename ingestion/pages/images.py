"""A page of a PDF as a picture, and where on it a quote stands. A file may be hostile: it gets a process of its own."""

import asyncio
import json
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, BinaryIO

from pydantic import TypeAdapter

from utils.concurrency import ConcurrencyLimit
from utils.errors import UnreadableDocument
from utils.sandbox.jobs import Job
from utils.sandbox.sandbox import ProcessEnded, Sandbox

logger = logging.getLogger(__name__)

OpenFile = Callable[[], BinaryIO]
_AT_ONCE, _MAY_WAIT = 2, 18
_MEMORY_BYTES = 1_000_000_000
_TIMEOUT_S = 20.0
_CPU_SPARE_S = 10
_LARGEST_PICTURE_BYTES = 20_000_000
_LONGEST_PLACES_BYTES = 5_000_000
_PNG = b"\x89PNG\r\n\x1a\n"
_REFUSAL = "This page cannot be shown as a picture."
_WORKER = "ingestion.pages.worker"


@dataclass(frozen=True, slots=True)
class PagePlaces:
    """A page's size in points, how many pages there are, and `places`, a box for each line of the quote.

    A box is left, top, width and height in thousandths of the page; none where the quote is not in the page's text.
    """

    width: float
    height: float
    pages: int
    places: list[list[int]]


_PLACES = TypeAdapter(PagePlaces)


class PageImages:
    """Draws pages, two at once, for one event loop; each in a process of *sandbox* with limits on time and memory.

    Only that process reads the file, by a descriptor of it. Every method raises `UnreadableDocument` where the page
    cannot be drawn, `Overloaded` where too many wait, and what *open_file* raises.
    """

    def __init__(self, sandbox: Sandbox, *, timeout_s: float = _TIMEOUT_S, memory_bytes: int = _MEMORY_BYTES) -> None:
        self._sandbox, self._timeout_s, self._memory_bytes = sandbox, timeout_s, memory_bytes
        self._room = ConcurrencyLimit(
            _AT_ONCE, may_wait=_MAY_WAIT, refusal="Too many pages are being drawn. Try again soon."
        )

    async def png(self, open_file: OpenFile, page: int) -> bytes:
        """Page *page*, counted from 1, of the PDF that *open_file* opens, as PNG."""
        picture = await self._ask(open_file, {"page": page, "quote": None}, _LARGEST_PICTURE_BYTES)
        if not picture.startswith(_PNG):
            raise UnreadableDocument(_REFUSAL)
        return picture

    async def places(self, open_file: OpenFile, page: int, quote: str, near: float) -> PagePlaces:
        """Where *quote* stands on the page; *near* is where about, from 0 at its beginning to 1 at its end."""
        answer = await self._ask(open_file, {"page": page, "quote": quote, "near": near}, _LONGEST_PLACES_BYTES)
        try:
            return _PLACES.validate_json(answer)
        except ValueError as exc:
            raise UnreadableDocument(_REFUSAL) from exc

    async def _ask(self, open_file: OpenFile, question: dict[str, Any], most_bytes: int) -> bytes:
        async with self._room:
            return await asyncio.to_thread(self._answer, open_file, question, most_bytes)

    def _answer(self, open_file: OpenFile, question: dict[str, Any], most_bytes: int) -> bytes:
        job = Job(
            serve=f"{_WORKER}:answer",
            preload=(_WORKER, "PIL.PngImagePlugin"),
            memory_bytes=self._memory_bytes,
            cpu_s=int(self._timeout_s) + _CPU_SPARE_S,
        )
        try:
            # Opened in this thread: were it a caller's, one that is cancelled could close it before the process has it,
            # and another file could have its number.
            with open_file() as file, self._sandbox.start(job, file) as process:
                deadline = time.monotonic() + self._timeout_s
                process.write(json.dumps(question).encode() + b"\n", deadline)
                answer = process.read_to_end(most_bytes, deadline)
                if process.exit_code() != 0:
                    raise UnreadableDocument(_REFUSAL)
                return answer
        except ProcessEnded as exc:
            logger.warning("A page of a PDF could not be drawn: %s", exc)
            raise UnreadableDocument(_REFUSAL) from exc
