"""Parsing in a process of its own, with limits on time and memory, so that no file can take the service down."""

import contextlib
import json
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from ingestion.parsers.parsed import Limits, PageFacts, ParsedDocument, Section
from providers.ocr.chosen import available
from utils.errors import UnreadableDocument

logger = logging.getLogger(__name__)
ROOT = Path(__file__).parents[2]
# Nothing of our configuration: its keys are none of a file's business. Each heap of a thread takes 64 MB of the limit.
ENVIRONMENT = {"PYTHONUTF8": "1", "MALLOC_ARENA_MAX": "2", "OPENBLAS_NUM_THREADS": "1"}
PageProgress = Callable[[int, int], None]


class ParserProcess:
    """One worker, started with the first file and again after a file that ended it. Not for several threads at once."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._process: subprocess.Popen[bytes] | None = None
        self._is_interrupted = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def recognises(self) -> bool:
        """Whether pictures of text can be read: it is turned on, and this machine has what it takes.

        What it takes may go away: that is noticed when a page could not be recognised.
        """
        return self._limits.recognises and available() is not None

    def parse(self, data: bytes, name: str) -> ParsedDocument:
        """The document in *data*, which was found under *name*, as far as it is text; see `unread_pages`.

        Raises:
            UnreadableDocument: in plain words, with what to do about it.
        """
        return self._parsed(data, name, {})

    def recognise(
        self, data: bytes, name: str, pages: Sequence[int], progress: PageProgress | None = None
    ) -> ParsedDocument:
        """The document anew, with the text of *pages*, which are pictures.

        Each of them has a time limit of its own; what is beyond the limits stays unread. *progress* is called before
        each page and at the end with how many are done and how many there are; what it raises ends the work.

        Raises:
            UnreadableDocument: as `parse`.
        """
        looked_at = list(pages[: self._limits.recognised_pages]) if self.recognises else []
        texts: dict[int, str] = {}
        self._is_interrupted = False
        answers = self._texts(data, name, looked_at)
        try:
            for done, page in enumerate(looked_at):
                if progress:
                    progress(done, len(looked_at))
                answer = next(answers)
                if "text" in answer:
                    texts[page] = str(answer["text"])
                else:
                    logger.warning("Page %d of %s could not be recognised: %s", page, name, answer)
            if progress:
                progress(len(looked_at), len(looked_at))
            if len(texts) < len(looked_at):
                available.cache_clear()
        except BaseException:  # the answers to come must not be taken for those to the next question
            self.close()
            raise
        return self._parsed(data, name, texts)

    def close(self) -> None:
        """End the worker, and what it may have started."""
        process, self._process = self._process, None
        if process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.communicate()

    def _parsed(self, data: bytes, name: str, recognised: Mapping[int, str]) -> ParsedDocument:
        answer = self._ask(data, {"name": name, "pages": [], "recognised": recognised})
        if "document" in answer:
            return _document(answer["document"])
        if "refused" in answer:
            raise UnreadableDocument(str(answer["refused"]))
        if "too_large" in answer:
            raise UnreadableDocument(_too_large(self._limits))
        logger.warning("A parser failed on %s: %s", name, answer.get("broken"))
        raise UnreadableDocument("It is damaged, or made in a way that is not read: save or export it again.")

    def _texts(self, data: bytes, name: str, pages: list[int]) -> Iterator[dict[str, Any]]:
        """An answer for each page. One at which a worker failed that had read another is tried once more by a new one.

        What a worker read before takes address space it does not get back, and ONNX Runtime fails where it wants more.
        """
        has_read, recogniser = self._process is not None, available()
        running: subprocess.Popen[bytes] | None = None
        for number, page in enumerate(pages):
            request = {"name": name, "pages": pages[number:], "recogniser": recogniser}
            has_read = has_read and self._process is not None
            answer = self._answer() if running and self._process is running else self._ask(data, request)
            if has_read and not _is_final(answer) and not self._is_interrupted:
                logger.info("Page %d of %s is tried once more: %s", page, name, answer)
                self.close()
                answer, has_read = self._ask(data, request), False
            has_read = has_read or "text" in answer
            running = self._process
            yield answer

    def interrupt(self) -> None:
        """End what is being read, from another thread: `parse` refuses it. Nothing happens where nothing is."""
        self._is_interrupted = True
        process = self._process
        if process is not None:
            process.kill()

    def _ask(self, data: bytes, request: Mapping[str, object]) -> dict[str, Any]:
        process = self._process = self._process or _start()
        header = {**request, "size_bytes": len(data), "limits": asdict(self._limits)}
        try:
            if process.stdin is None:
                raise AssertionError("The worker was started with pipes.")
            process.stdin.write(json.dumps(header).encode() + b"\n" + data)
            process.stdin.flush()
        except BrokenPipeError:
            return self._ended()
        except BaseException:  # the user's Ctrl-C: a request that was sent by half must not be gone on with
            self.close()
            raise
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        process = self._process
        if process is None or process.stdout is None:
            raise AssertionError("Nothing was asked.")
        try:
            answer = process.stdout.readline()
        except BaseException:  # Ctrl-C: the answer to come must not be taken for that to the next question
            self.close()
            raise
        return json.loads(answer) if answer.endswith(b"\n") else self._ended()

    def _ended(self) -> dict[str, Any]:
        process = self._process
        code = process.wait() if process is not None else 0
        self._forget()
        if code == -signal.SIGALRM:
            return {"refused": f"Reading it took longer than {self._limits.timeout_s:g} s: split or simplify it."}
        if code in (-signal.SIGKILL, -signal.SIGABRT):  # out of memory in C code
            return {"too_large": True}
        return {"broken": f"the worker ended with {code}"}

    def _forget(self) -> None:
        with contextlib.suppress(BrokenPipeError):
            self.close()


def _is_final(answer: Mapping[str, object]) -> bool:
    """Whether another worker would say the same."""
    return "text" in answer or "refused" in answer


def _start() -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [sys.executable, "-m", "ingestion.parsers.worker"],
        cwd=ROOT,
        env={**ENVIRONMENT, "PATH": os.pathsep.join(os.get_exec_path())},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,  # Ctrl-C is for the loader, which ends this itself
    )


def _document(fields: dict[str, Any]) -> ParsedDocument:
    sections = tuple(Section(**{**section, "heading": tuple(section["heading"])}) for section in fields["sections"])
    facts = PageFacts(**{**fields["facts"], "links": tuple(fields["facts"]["links"])}) if fields["facts"] else None
    unread = tuple(fields["unread_pages"])
    return ParsedDocument(**{**fields, "sections": sections, "unread_pages": unread, "facts": facts})


def _too_large(limits: Limits) -> str:
    return f"Reading it takes more than {limits.memory_bytes / 1e6:,.0f} MB of memory: split it."
