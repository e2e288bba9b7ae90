"""Reads tables out of strangers' files: each file in a process of its own in the sandbox, after the malware check."""

import logging
import time
from collections.abc import Generator, Iterator, Sequence
from dataclasses import asdict
from typing import Any, get_args

import orjson

from ingestion.malware import MalwareCheck
from ingestion.parsers.parsed import UNWANTED
from ingestion.tables.shapes import ColumnRead, Kind, TableLimits, TableRead, Value
from utils.errors import TooLarge, UnreadableDocument
from utils.sandbox.jobs import SandboxJob
from utils.sandbox.process import ProcessEnded, SandboxedProcess
from utils.sandbox.sandbox import Sandbox

logger = logging.getLogger(__name__)

_LINE_BYTES = 100_000_000
_LONGEST_NAME, _LONGEST_TEXT, _MAX_NOTES = 80, 300, 10
_DAMAGED = "Damaged or unsupported file: save or export it again."
_SERVE = "ingestion.tables.worker:serve"
_TABLES = ("ingestion.tables.tables",)
_JOBS = {
    "parquet": ("ingestion.tables.parquet:prepare", ("ingestion.tables.parquet",)),
    "workbook": ("", (*_TABLES, "ingestion.tables.workbook")),
    "delimited": ("", (*_TABLES, "ingestion.tables.delimited")),
}
Batches = Iterator[list[list[Value]]]


class TableReader:
    """Reads files within *limits*, by *deadline*, a moment of `time.monotonic`. For one thread."""

    def __init__(self, sandbox: Sandbox, malware: MalwareCheck, limits: TableLimits, deadline: float) -> None:
        self._sandbox, self._malware, self._limits, self._deadline = sandbox, malware, limits, deadline

    def read(self, data: bytes, name: str) -> Generator[tuple[TableRead, Batches], None, None]:
        """The tables in *data*, a file called *name*. The rows of each have to be taken before the next table.

        Raises:
            UnreadableDocument: in plain words, with what to do about it; also `InfectedFile`.
            TooLarge: it is beyond a limit, which is named.
            NotReady: no process can be started for it.
            ScannerUnavailable: the malware scanner does not answer, and is required.
        """
        self._malware.check(data)
        try:
            with self._sandbox.start(self._make_job(data)) as process:
                header = {"name": name[-200:], "size_bytes": len(data), "limits": asdict(self._limits)}
                process.write_request(header, data, self._deadline)
                yield from self._read_answers(process, name)
        except ProcessEnded as exc:
            raise self._make_refusal(exc, name) from exc

    def _make_job(self, data: bytes) -> SandboxJob:
        kind = "parquet" if data[:4] == b"PAR1" else "workbook" if data[:2] == b"PK" else "delimited"
        prepare, preload = _JOBS[kind]
        seconds = max(1, int(self._deadline - time.monotonic()) + 5)
        return SandboxJob(
            serve=_SERVE, prepare=prepare, preload=preload, memory_bytes=self._limits.memory_bytes, cpu_s=seconds
        )

    def _read_answers(self, process: SandboxedProcess, name: str) -> Iterator[tuple[TableRead, Batches]]:
        answer = self._read_answer(process, name)
        while "table" in answer:
            table = _check_table(answer["table"], name)
            following: list[dict[str, Any]] = []
            yield table, self._read_rows(process, name, len(table.columns), following)
            answer = following[0] if following else self._read_answer(process, name)

    def _read_rows(self, process: SandboxedProcess, name: str, width: int, following: list[dict[str, Any]]) -> Batches:
        """The rows until another answer comes, which is put into *following*."""
        count = 0
        while "rows" in (answer := self._read_answer(process, name)):
            rows = answer["rows"]
            count += len(rows)
            if count > self._limits.rows or not all(len(row) == width for row in rows):
                raise _make_damage(name, "rows that it did not announce")
            yield rows
        following.append(answer)

    def _read_answer(self, process: SandboxedProcess, name: str) -> dict[str, Any]:
        """The next answer, if it is none that ends the work.

        Raises:
            UnreadableDocument, TooLarge: it says so.
        """
        try:
            answer: dict[str, Any] = orjson.loads(process.read_line(_LINE_BYTES, self._deadline))
        except ValueError as exc:
            raise _make_damage(name, str(exc)) from exc
        if "too_large" in answer:
            raise TooLarge(f"{name}: {str(answer['too_large'])[:_LONGEST_TEXT]}")
        if "refused" in answer:
            raise UnreadableDocument(f"{name}: {str(answer['refused'])[:_LONGEST_TEXT]}")
        if "out_of_memory" in answer:
            raise self._make_memory_refusal(name)
        if not answer.keys() & {"table", "rows", "is_whole"}:
            raise _make_damage(name, str(answer.get("broken"))[:_LONGEST_TEXT])
        return answer

    def _make_refusal(self, ended: ProcessEnded, name: str) -> Exception:
        if ended.reason == "time":
            return TooLarge(
                f"{name}: Reading it takes longer than the {self._limits.timeout_s:g} s that an upload has: split it, "
                "or send it as Parquet or CSV, which are read faster than XLSX."
            )
        if ended.reason in ("memory", "size"):
            return self._make_memory_refusal(name)
        if ended.reason == "wall":
            logger.error("The sandbox ended the reading of %s: a forbidden system call, perhaps an attack.", name)
        return _make_damage(name, str(ended))

    def _make_memory_refusal(self, name: str) -> TooLarge:
        most = f"{self._limits.memory_bytes / 1e6:,.0f} MB"
        return TooLarge(f"{name}: Reading it takes more than {most} of memory: split it, or send it as CSV.")


def _make_damage(name: str, why: str) -> UnreadableDocument:
    logger.warning("The tables of %s could not be read: %s", name, why)
    return UnreadableDocument(f"{name}: {_DAMAGED}")


def _check_table(sent: dict[str, Any], name: str) -> TableRead:
    """What a process that may be taken over says of a table, if it can be one."""
    try:
        columns = tuple(
            ColumnRead(
                _take(each["name"], _LONGEST_NAME),
                _take(each["header"], _LONGEST_TEXT),
                each["kind"],
                _take(each["description"], _LONGEST_TEXT),
                bool(each["is_hidden"]),
            )
            for each in sent["columns"]
        )
        notes = tuple(_take(note, 2 * _LONGEST_TEXT) for note in sent["notes"][:_MAX_NOTES])
        table = TableRead(
            _take(sent["name"], _LONGEST_NAME),
            _take(sent["sheet"], _LONGEST_TEXT),
            columns,
            bool(sent["is_hidden"]),
            notes,
        )
    except (KeyError, TypeError, ValueError) as exc:
        raise _make_damage(name, f"{type(exc).__name__}: {exc}") from exc
    names = [each.name.casefold() for each in columns]
    if not table.name or not names or "" in names or len(set(names)) < len(names) or not _have_kinds(columns):
        raise _make_damage(name, "a table that can be none")
    return table


def _have_kinds(columns: Sequence[ColumnRead]) -> bool:
    return all(each.kind in get_args(Kind) for each in columns)


def _take(text: Any, longest: int) -> str:
    if not isinstance(text, str):
        raise TypeError("It is no text.")
    return UNWANTED.sub("", text[:longest])
