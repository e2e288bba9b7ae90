"""The work of a process in the sandbox: reads the tables of one file, which are written as lines of JSON.

A line that describes a table, lines with some of its rows each, and so on; one that says that this was all, or why
there is no more. Only JSON goes back: were the process taken over by a hostile file, it could run no code in the
service.
"""

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import PurePath
from typing import Any, BinaryIO

from ingestion.parsers.parsed import LOCKED
from ingestion.parsers.sniffing import detect_content
from ingestion.tables.shapes import TableLimits, TableRead, Value
from utils.errors import TooLarge, UnreadableDocument

_PARQUET = b"PAR1"
_NO_TABLES = frozenset({".json", ".jsonl", ".ndjson", ".md", ".yaml", ".yml", ".xml", ".sql", ".eml"})
_ENDINGS = "CSV, TSV, XLSX or Parquet"
_Tables = Iterator[tuple[TableRead, Iterator[list[list[Value]]]]]


def serve(requests: BinaryIO, answers: BinaryIO) -> None:
    """Answer with the tables of the file."""
    request = json.loads(requests.readline())
    data, limits = requests.read(request["size_bytes"]), TableLimits(**request["limits"])
    try:
        for table, rows in _read(data, request["name"], limits):
            _write(answers, {"table": asdict(table)})
            for batch in rows:
                _write(answers, {"rows": batch})
        _write(answers, {"is_whole": True})
    except Exception as exc:  # libraries raise whatever they like on damaged files
        _write(answers, _describe_failure(exc))


def _read(data: bytes, name: str, limits: TableLimits) -> _Tables:
    """The tables in *data*, whatever its name ends with."""
    if not data:
        raise UnreadableDocument("It is empty.")
    if len(data) > limits.size_bytes:
        raise TooLarge(f"It is larger than {limits.size_bytes / 1e6:g} MB: split it.")
    stem = PurePath(name).stem
    if data.startswith(_PARQUET):
        from ingestion.tables.parquet import read_table

        return iter([read_table(data, stem, limits)])
    content = detect_content(data)
    from ingestion.tables.tables import read_tables

    if content == "a spreadsheet":
        from ingestion.tables.workbook import read_sheets as read_workbook

        return read_tables(read_workbook(data, limits), stem, limits)
    if content == "text" and PurePath(name).suffix.lower() not in _NO_TABLES:
        from ingestion.tables.delimited import read_sheets as read_delimited

        return read_tables(read_delimited(data), stem, limits)
    raise UnreadableDocument(
        LOCKED if content == "a locked Office document" else f"It looks like {content}: save it as {_ENDINGS}."
    )


def _write(answers: BinaryIO, answer: dict[str, Any]) -> None:
    answers.write(json.dumps(answer, ensure_ascii=False, allow_nan=False).encode("utf-8", "replace") + b"\n")
    answers.flush()


def _describe_failure(exc: Exception) -> dict[str, Any]:
    if isinstance(exc, TooLarge):
        return {"too_large": exc.detail}
    if isinstance(exc, UnreadableDocument):
        return {"refused": exc.detail}
    if isinstance(exc, MemoryError):
        return {"out_of_memory": True}
    return {"broken": f"{type(exc).__name__}: {exc}"[:500]}
