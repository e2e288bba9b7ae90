"""Parsing in a process of its own, with limits on time and memory, so that no file can take the service down."""

import contextlib
import json
import logging
import signal
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from ingestion.parsers.parsed import Limits, ParsedDocument, Section
from utils.errors import UnreadableDocument

logger = logging.getLogger(__name__)
ROOT = Path(__file__).parents[2]


class ParserProcess:
    """One worker, started with the first file and again after a file that ended it. Not for several threads at once."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def parse(self, data: bytes, name: str) -> ParsedDocument:
        """The document in *data*, which was found under *name*.

        Raises:
            UnreadableDocument: in plain words, with what to do about it.
        """
        answer = self._ask(data, name)
        if "document" in answer:
            return _document(answer["document"])
        if "refused" in answer:
            raise UnreadableDocument(str(answer["refused"]))
        if "too_large" in answer:
            raise UnreadableDocument(_too_large(self._limits))
        logger.warning("A parser failed on %s: %s", name, answer.get("broken"))
        raise UnreadableDocument("It is damaged, or made in a way that is not read: save or export it again.")

    def close(self) -> None:
        """End the worker."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.communicate()

    def _ask(self, data: bytes, name: str) -> dict[str, Any]:
        process = self._process = self._process or _start()
        header = {"name": name, "size_bytes": len(data), "limits": asdict(self._limits)}
        try:
            if process.stdin is None or process.stdout is None:
                raise AssertionError("The worker was started with pipes.")
            process.stdin.write(json.dumps(header).encode() + b"\n" + data)
            process.stdin.flush()
            answer = process.stdout.readline()
        except BrokenPipeError:
            answer = b""
        except BaseException:  # the user's Ctrl-C: the answer to come must not be taken for that to the next question
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


def _start() -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [sys.executable, "-m", "ingestion.parsers.worker"],
        cwd=ROOT,
        env={"PYTHONUTF8": "1"},  # nothing of our configuration: its keys are none of a file's business
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,  # Ctrl-C is for the loader, which ends this itself
    )


def _document(fields: dict[str, Any]) -> ParsedDocument:
    sections = tuple(Section(**{**section, "heading": tuple(section["heading"])}) for section in fields["sections"])
    return ParsedDocument(**{**fields, "sections": sections})


def _too_large(limits: Limits) -> str:
    return f"Reading it takes more than {limits.memory_bytes / 1e6:,.0f} MB of memory: split it."
