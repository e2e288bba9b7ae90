"""Parsing in a process for each file, so that no file can harm the service or see another one."""

import logging
import math
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from weakref import WeakSet

from ingestion.parsers.answers import Answer, read_answer
from ingestion.parsers.garbled import is_garbled
from ingestion.parsers.kinds import is_old, list_modules
from ingestion.parsers.libreoffice import MEDIA_TYPES, convert
from ingestion.parsers.parsed import Limits, ParsedDocument, Target
from ingestion.parsers.recognition import PAGE_ERRORS, PageReader, Recognition
from providers.ocr.chosen import find_available
from utils.closing import ClosedAtExit
from utils.errors import UnreadableDocument
from utils.sandbox.jobs import SandboxJob
from utils.sandbox.process import ProcessEnded, SandboxedProcess
from utils.sandbox.sandbox import Sandbox
from utils.sandbox.walls import Wall

logger = logging.getLogger(__name__)

PageProgress = Callable[[int, int], None]
NO_WALL = (
    "It is in an old format, which needs LibreOffice; that is not run without the sandbox's file isolation: "
    "save it as {}."
)
_DAMAGED = "Damaged or unsupported file: save or export it again."
_ANSWER_BYTES = 200_000_000
_CPU_SPARE_S = 10
_PARSE = "ingestion.parsers.worker:parse"


class ParserProcess(ClosedAtExit):
    """Parses files, each in a process of *sandbox*. Not for several threads at once; `interrupt` is for others."""

    def __init__(self, limits: Limits, sandbox: Sandbox) -> None:
        self._limits, self._sandbox = limits, sandbox
        self._lock = threading.Lock()
        self._running: WeakSet[SandboxedProcess] = WeakSet()
        self._is_interrupted = False

    @property
    def recognises(self) -> bool:
        """Whether text recognition is turned on and installed. That it was removed is noticed when a page fails."""
        return self._limits.recognises and find_available() is not None

    def parse(self, data: bytes, name: str) -> ParsedDocument:
        """The document in *data*, a file called *name*, without its `unread_pages`, which are pictures.

        Raises:
            UnreadableDocument: in plain words, with what to do about it.
            NotReady: no process can be started for it.
        """
        return self._parse(data, name, {})

    def recognise(
        self, data: bytes, name: str, pages: Sequence[int], progress: PageProgress | None = None
    ) -> ParsedDocument:
        """The document again, with the text of *pages*, which are pictures.

        Each of them has a time limit of its own; what is beyond the limits stays unread. *progress* is called before
        each page and at the end with how many are done and how many there are; what it raises ends the work.

        Raises:
            UnreadableDocument, NotReady: as `parse`.
        """
        read = self.read_pages(data, name, self.begin_recognition(pages), progress)
        return self.parse_with(data, name, read)

    def begin_recognition(self, pages: Sequence[int]) -> Recognition:
        """What `read_pages` begins with: as many of *pages* as may be recognised."""
        return Recognition(pages[: self._limits.recognised_pages] if self.recognises else (), {})

    def read_pages(
        self,
        data: bytes,
        name: str,
        so_far: Recognition,
        progress: PageProgress | None = None,
        *,
        slice_s: float = math.inf,
    ) -> Recognition:
        """Recognise pages that are left: those that can be begun within *slice_s* seconds, at least one."""
        texts, failed, until_s = dict(so_far.texts), False, time.monotonic() + slice_s
        with PageReader(self._start, self._limits, data, name, so_far.remaining) as reader:
            for number, page in enumerate(so_far.remaining):
                if number and time.monotonic() >= until_s:
                    break
                if progress:
                    progress(len(texts), len(so_far.pages))
                try:
                    text = reader.read(page)
                    texts[page] = None if text is None or is_garbled(text) else text
                except PAGE_ERRORS as exc:
                    logger.warning("Page %d of %s could not be recognised: %s", page, name, exc)
                    texts[page], failed = None, True
            if progress:
                progress(len(texts), len(so_far.pages))
        if failed:
            find_available.cache_clear()
        return Recognition(so_far.pages, texts)

    def parse_with(self, data: bytes, name: str, recognition: Recognition) -> ParsedDocument:
        """The document with the text of the pages that were recognised.

        Raises:
            UnreadableDocument, NotReady: as `parse`.
        """
        return self._parse(data, name, {page: text for page, text in recognition.texts.items() if text is not None})

    def interrupt(self) -> None:
        """From another thread, end the reading under way, or else the next one: `parse` refuses the file."""
        with self._lock:
            self._is_interrupted = True
            for process in self._running:
                process.kill()

    def close(self) -> None:
        """Forget an interruption."""
        with self._lock:
            self._is_interrupted = False

    def _start(self, job: SandboxJob) -> SandboxedProcess:
        """A process that `interrupt` can end."""
        process = self._sandbox.start(job)
        with self._lock:
            self._running.add(process)
            if self._is_interrupted:
                process.kill()
            self._is_interrupted = False
        return process

    def _parse(self, data: bytes, name: str, recognised: Mapping[int, str]) -> ParsedDocument:
        try:
            answer = self._ask(data, name, recognised)
            if answer.convert_to is not None and not is_old(name):
                raise ValueError("It asks for the conversion of a file that needs none.")
            if answer.convert_to is not None:
                return self._parse_converted(data, answer.convert_to)
        except ProcessEnded as exc:
            raise self._make_refusal(exc, name) from exc
        except ValueError as exc:
            logger.warning("The parser of %s gave an invalid answer. %s", name, exc)
            raise UnreadableDocument(_DAMAGED) from exc
        if answer.document is not None:
            return answer.document
        if answer.refused:
            raise UnreadableDocument(answer.refused)
        if answer.too_large:
            raise UnreadableDocument(_describe_too_large(self._limits))
        logger.warning("A parser failed on %s: %s", name, answer.broken)
        raise UnreadableDocument(_DAMAGED)

    def _parse_converted(self, data: bytes, target: Target) -> ParsedDocument:
        if Wall.FILES in self._sandbox.find_walls().missing:
            raise UnreadableDocument(NO_WALL.format(target.upper()))
        converted = convert(data, target, self._start, self._limits)
        return replace(self._parse(converted, f"converted.{target}", {}), media_type=MEDIA_TYPES[target])

    def _ask(self, data: bytes, name: str, recognised: Mapping[int, str]) -> Answer:
        modules = list_modules(name)
        job = SandboxJob(
            serve=_PARSE,
            preload=modules[:1],
            later=modules[1:],
            memory_bytes=self._limits.memory_bytes,
            cpu_s=int(self._limits.timeout_s) + _CPU_SPARE_S,
        )
        header = {"name": name, "recognised": recognised, "size_bytes": len(data), "limits": asdict(self._limits)}
        with self._start(job) as process:
            deadline = time.monotonic() + self._limits.timeout_s
            process.write_request(header, data, deadline)
            self._sandbox.prepare(job)  # for the next file, while this one is read
            return read_answer(process.read_line(_ANSWER_BYTES, deadline), self._limits)

    def _make_refusal(self, ended: ProcessEnded, name: str) -> UnreadableDocument:
        if ended.reason == "time":
            return UnreadableDocument(
                f"Reading it took longer than {self._limits.timeout_s:g} s: split or simplify it."
            )
        if ended.reason in ("memory", "size"):
            return UnreadableDocument(_describe_too_large(self._limits))
        if ended.reason == "wall":
            logger.error(
                "The sandbox ended the parser of %s, which made a forbidden system call: the file may be an attack. "
                "The kernel's log names the call, in a line with type=1326.",
                name,
            )
        else:
            logger.warning("The parser of %s ended: %s", name, ended)
        return UnreadableDocument(_DAMAGED)


def _describe_too_large(limits: Limits) -> str:
    return f"Reading it takes more than {limits.memory_bytes / 1e6:,.0f} MB of memory: split it."
