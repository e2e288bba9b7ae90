"""A page of a PDF as a picture, and where on it a quote stands. A file may be hostile: it gets a process of its own."""

import asyncio
import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from utils.concurrency import ConcurrencyLimit
from utils.errors import UnreadableDocument

OpenFile = Callable[[], BinaryIO]
_ROOT = Path(__file__).parents[2]
_AT_ONCE, _MAY_WAIT = 2, 18
_MEMORY_BYTES = 1_000_000_000
_TIMEOUT_S = 20.0
_STARTING_S = 10.0


@dataclass(frozen=True, slots=True)
class PagePlaces:
    """A page's size in points, how many pages there are, and `places`, a box for each line of the quote.

    A box is left, top, width and height in thousandths of the page; none where the quote is not in the page's text.
    """

    width: float
    height: float
    pages: int
    places: list[list[int]]


class PageImages:
    """Draws pages, two at once, for one event loop; each in a process with limits on time and memory.

    Only the drawing process reads the file, by the descriptor that it inherits. Every method raises
    `UnreadableDocument` where the page cannot be drawn, `Overloaded` where too many wait, and what *open_file* raises.
    """

    def __init__(self, *, timeout_s: float = _TIMEOUT_S, memory_bytes: int = _MEMORY_BYTES) -> None:
        self._timeout_s, self._memory_bytes = timeout_s, memory_bytes
        self._room = ConcurrencyLimit(
            _AT_ONCE, may_wait=_MAY_WAIT, refusal="Too many pages are being drawn. Try again soon."
        )

    async def png(self, open_file: OpenFile, page: int) -> bytes:
        """Page *page*, counted from 1, of the PDF that *open_file* opens, as PNG."""
        _, picture = await self._ask(open_file, {"page": page, "quote": None})
        return picture

    async def places(self, open_file: OpenFile, page: int, quote: str, near: float) -> PagePlaces:
        """Where *quote* stands on the page; *near* is where about, from 0 at its beginning to 1 at its end."""
        answer, _ = await self._ask(open_file, {"page": page, "quote": quote, "near": near})
        return PagePlaces(**answer)

    async def _ask(self, open_file: OpenFile, question: dict[str, Any]) -> tuple[dict[str, Any], bytes]:
        async with self._room:
            return await asyncio.to_thread(self._answer, open_file, question)

    def _answer(self, open_file: OpenFile, question: dict[str, Any]) -> tuple[dict[str, Any], bytes]:
        limits = {"timeout_s": self._timeout_s, "memory_bytes": self._memory_bytes}
        try:
            # Opened in this thread: were it a caller's, one that is cancelled could close it before the process has it,
            # and another file could have its number.
            with open_file() as file:
                done = subprocess.run(  # noqa: S603 - of this program, and the number of a descriptor
                    [sys.executable, "-m", "ingestion.pages.worker", str(file.fileno())],
                    cwd=_ROOT,
                    env={"PYTHONUTF8": "1"},  # nothing of our configuration: its keys are none of a file's business
                    input=json.dumps(question | limits).encode(),
                    pass_fds=(file.fileno(),),
                    stdout=subprocess.PIPE,
                    stderr=subprocess.DEVNULL,
                    timeout=self._timeout_s + _STARTING_S,
                    start_new_session=True,
                    check=True,
                )
        except subprocess.SubprocessError as exc:
            raise UnreadableDocument("This page cannot be shown as a picture.") from exc
        head, _, picture = done.stdout.partition(b"\n")
        return json.loads(head), picture
