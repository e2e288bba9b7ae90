"""A page of a PDF as a picture, and where on it a quote stands. A file may be hostile: it gets a process of its own."""

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, BinaryIO, TypeVar

from pydantic import TypeAdapter

from utils.concurrency import ConcurrencyLimit
from utils.errors import UnreadableDocument
from utils.expiring import Expiring
from utils.sandbox.jobs import SandboxJob
from utils.sandbox.process import ProcessEnded
from utils.sandbox.sandbox import Sandbox

logger = logging.getLogger(__name__)

OpenFile = Callable[[], BinaryIO]
T = TypeVar("T")
_AT_ONCE, _MAY_WAIT = 2, 18
_MEMORY_BYTES = 1_000_000_000
_TIMEOUT_S = 10.0
_CPU_SPARE_S = 10
_LARGEST_PICTURE_BYTES = 20_000_000
_LONGEST_PLACES_BYTES = 5_000_000
_PNG = b"\x89PNG\r\n\x1a\n"
_FAILURES_KEPT, _FAILURE_KEPT_S = 10_000, 3600.0
_REFUSAL = "This page cannot be shown as a picture."


@dataclass(frozen=True, slots=True)
class PdfFile:
    """A PDF of a tenant, by its hash; *open* is called in a thread."""

    tenant_id: str
    content_hash: str
    open: OpenFile


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
    """Draws pages for one event loop, two at once and one of each tenant, as a page may be made to take long.

    Each has a process of *sandbox* with limits on time and memory, and only that process reads the file, by a
    descriptor of it. A page that cannot be drawn is not tried again for an hour. Every method raises
    `UnreadableDocument` for such a page, `Overloaded` where too many wait, and what opens the file may raise.
    """

    def __init__(self, sandbox: Sandbox, *, timeout_s: float = _TIMEOUT_S, memory_bytes: int = _MEMORY_BYTES) -> None:
        self._sandbox, self._timeout_s, self._memory_bytes = sandbox, timeout_s, memory_bytes
        self._failed: Expiring[tuple[str, str, int], bool] = Expiring(_FAILURES_KEPT, _FAILURE_KEPT_S)
        self._room = ConcurrencyLimit(
            _AT_ONCE, may_wait=_MAY_WAIT, refusal="Too many pages are being drawn. Try again soon."
        )

    async def render_png(self, pdf: PdfFile, page: int) -> bytes:
        """Page *page*, counted from 1, of *pdf* as PNG."""
        return await self._ask(pdf, {"page": page, "quote": None}, _LARGEST_PICTURE_BYTES, _check_picture)

    async def find_places(self, pdf: PdfFile, page: int, quote: str, near: float) -> PagePlaces:
        """Where *quote* stands on the page; *near* is where about, from 0 at its beginning to 1 at its end."""
        question = {"page": page, "quote": quote, "near": near}
        return await self._ask(pdf, question, _LONGEST_PLACES_BYTES, _PLACES.validate_json)

    async def _ask(self, pdf: PdfFile, question: dict[str, Any], max_bytes: int, read: Callable[[bytes], T]) -> T:
        """What *read* makes of the answer. A caller that is cancelled leaves the queue, but not a process that runs:
        that keeps its place to its end."""
        began = asyncio.Event()
        asking = asyncio.create_task(self._ask_in_turn(pdf, question, max_bytes, began))
        try:
            answer = await asyncio.shield(asking)
        except asyncio.CancelledError:
            if not began.is_set():
                asking.cancel()
            asking.add_done_callback(_forget_outcome)
            raise
        try:
            return read(answer)
        except ValueError as exc:
            raise self._make_error(pdf, question) from exc

    async def _ask_in_turn(self, pdf: PdfFile, question: dict[str, Any], max_bytes: int, began: asyncio.Event) -> bytes:
        async with self._room.place(pdf.tenant_id):
            if self._failed.get((pdf.tenant_id, pdf.content_hash, question["page"])):
                raise UnreadableDocument(_REFUSAL)
            began.set()
            try:
                return await asyncio.to_thread(self._answer, pdf.open, question, max_bytes)
            except UnreadableDocument as exc:
                raise self._make_error(pdf, question) from exc

    def _make_error(self, pdf: PdfFile, question: dict[str, Any]) -> UnreadableDocument:
        self._failed.put((pdf.tenant_id, pdf.content_hash, question["page"]), True)
        return UnreadableDocument(_REFUSAL)

    def _answer(self, open_file: OpenFile, question: dict[str, Any], max_bytes: int) -> bytes:
        job = SandboxJob(
            serve="ingestion.pages.worker:answer",
            preload=("PIL.PngImagePlugin",),
            memory_bytes=self._memory_bytes,
            cpu_s=int(self._timeout_s) + _CPU_SPARE_S,
        )
        try:
            # Opened in this thread: were it a caller's, one that is cancelled could close it before the process has it,
            # and another file could have its number.
            with open_file() as file, self._sandbox.start(job, file) as process:
                deadline = time.monotonic() + self._timeout_s
                process.write_request(question, b"", deadline)
                answer = process.read_to_end(max_bytes, deadline)
                if process.exit_code() != 0:
                    raise UnreadableDocument(_REFUSAL)
                return answer
        except ProcessEnded as exc:
            logger.warning("Could not render a page of a PDF: %s", exc)
            raise UnreadableDocument(_REFUSAL) from exc


def _check_picture(answer: bytes) -> bytes:
    if not answer.startswith(_PNG):
        raise ValueError("It is no PNG.")
    return answer


def _forget_outcome(asking: "asyncio.Task[Any]") -> None:
    if not asking.cancelled():
        asking.exception()  # looked at: nobody waits for it
