"""Text recognition of pages: one process draws them, another one, which gets nothing but pixels, reads them."""

import json
import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Self

import numpy as np

from ingestion.parsers.answers import read_answer
from ingestion.parsers.kinds import list_modules
from ingestion.parsers.parsed import Limits
from providers.ocr.chosen import find_available, open_recogniser
from providers.ocr.recogniser import Recogniser, RecognitionLimits, Start
from utils.closing import ClosedAtExit
from utils.errors import ProviderError, ProviderUnavailable, UnreadableDocument
from utils.ports import Picture
from utils.sandbox.jobs import SandboxJob
from utils.sandbox.process import ProcessEnded, SandboxedProcess

logger = logging.getLogger(__name__)

PAGE_ERRORS = (ProcessEnded, ProviderError, UnreadableDocument, ValueError)  # ValueError: an invalid answer
_ANSWER_BYTES = 10_000
_LONGEST_SIDE = 4_000  # pixels: more than any of our parsers draws


@dataclass(frozen=True, slots=True)
class Recognition:
    """The pages of a document that are to be recognised; `texts` has those that were, None for an unread one."""

    pages: Sequence[int]
    texts: Mapping[int, str | None]

    @property
    def remaining(self) -> list[int]:
        """The pages that are still to be recognised."""
        return [page for page in self.pages if page not in self.texts]

    @property
    def progress(self) -> float:
        """The share that is done, 0 to 1."""
        return len(self.texts) / max(1, len(self.pages))

    def to_json(self) -> str:
        """For `from_json`."""
        return json.dumps({"pages": list(self.pages), "texts": self.texts}, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """What `to_json` was called on."""
        read = json.loads(text)
        return cls(read["pages"], {int(page): recognised for page, recognised in read["texts"].items()})


class PageReader(ClosedAtExit):
    """Reads pages of one document, in their order. *start* starts processes."""

    def __init__(self, start: Start, limits: Limits, data: bytes, name: str, pages: Sequence[int]) -> None:
        self._start, self._limits, self._data, self._name, self._pages = start, limits, data, name, list(pages)
        self._drawing: SandboxedProcess | None = None
        self._recogniser: Recogniser | None = None
        self._has_read = False

    def read(self, page: int) -> str | None:
        """The text of *page*, None if the recognition does not know its letters.

        If it fails after other pages were read, new processes try it once more: what the old ones read before takes
        address space that they do not get back, and ONNX Runtime fails when it wants more.

        Raises:
            PAGE_ERRORS: it cannot be read; the others can be tried.
        """
        try:
            return self._read(page)
        except PAGE_ERRORS as exc:
            had_read = self._has_read
            self.close()
            if not had_read or _is_final(exc):
                raise
            logger.info("Page %d of %s is tried once more: %s", page, self._name, exc)
        try:
            return self._read(page)
        except PAGE_ERRORS:
            self.close()
            raise

    def close(self) -> None:
        """End the processes."""
        drawing, recogniser = self._drawing, self._recogniser
        self._drawing = self._recogniser = None
        self._has_read = False
        if drawing is not None:
            drawing.close()
        if recogniser is not None:
            recogniser.close()

    def _read(self, page: int) -> str | None:
        picture = self._get_picture(page)
        if self._recogniser is None:
            self._recogniser = _open(self._start, self._limits, len(self._pages))
        text = self._recogniser.recognise(picture)
        self._has_read = True
        return text

    def _get_picture(self, page: int) -> Picture:
        deadline = time.monotonic() + self._limits.page_timeout_s
        if self._drawing is None:
            self._drawing = self._begin_drawing(self._pages[self._pages.index(page) :], deadline)
        answer = read_answer(self._drawing.read_line(_ANSWER_BYTES, deadline), self._limits)
        if answer.refused:
            raise UnreadableDocument(answer.refused)
        if answer.too_large:
            raise ProcessEnded("memory", "drawing the page takes more than there is")
        if not (answer.height and answer.width):
            raise ProcessEnded("crash", answer.broken or "no picture")
        if not (0 < answer.height <= _LONGEST_SIDE and 0 < answer.width <= _LONGEST_SIDE):
            raise ValueError(f"A picture of {answer.height} × {answer.width} pixels was not asked for.")
        pixels = self._drawing.read(answer.height * answer.width * 3, deadline)
        return np.frombuffer(pixels, np.uint8).reshape(answer.height, answer.width, 3)

    def _begin_drawing(self, pages: list[int], deadline: float) -> SandboxedProcess:
        job = SandboxJob(
            serve="ingestion.parsers.worker:draw",
            preload=list_modules(self._name)[:1],
            memory_bytes=self._limits.memory_bytes,
            cpu_s=_limit_cpu_s(self._limits, len(pages)),
        )
        header = {"name": self._name, "pages": pages, "size_bytes": len(self._data), "limits": asdict(self._limits)}
        process = self._start(job)
        try:
            process.write_request(header, self._data, deadline)
        except ProcessEnded:
            process.close()
            raise
        return process


def _open(start: Start, limits: Limits, pages: int) -> Recogniser:
    name = find_available()
    if name is None:
        raise ProviderUnavailable("There is no text recognition any more.")
    allowance = RecognitionLimits(
        page_s=limits.page_timeout_s, memory_bytes=limits.memory_bytes, cpu_s=_limit_cpu_s(limits, pages)
    )
    return open_recogniser(name, start, allowance)


def _limit_cpu_s(limits: Limits, pages: int) -> int:
    """More than *pages* may take: their time by the clock is limited as well."""
    return int(limits.page_timeout_s * pages) + 60


def _is_final(exc: Exception) -> bool:
    """Whether new processes would fail, too."""
    if isinstance(exc, ProcessEnded):
        return exc.reason == "interrupted"
    return isinstance(exc, ProviderError | UnreadableDocument)
