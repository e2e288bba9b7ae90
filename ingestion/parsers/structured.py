"""JSON: nested names as headings, lists of alike records as tables."""

import json
from collections.abc import Iterator
from typing import Any

from ingestion.parsers.encoding import decode
from ingestion.parsers.parsed import Limits, ParsedDocument, TextBuilder, join_lines
from ingestion.parsers.tables import add_table
from utils.errors import UnreadableDocument

MAX_DEPTH = 50
HEADING_LEVELS = 6
TOO_DEEP = f"It is nested deeper than {MAX_DEPTH} levels: flatten it."
TITLES = ("title", "name")


def parse(data: bytes, limits: Limits) -> ParsedDocument:
    """The document; also one with a value of its own on each line (JSON Lines)."""
    value = _load(decode(data))
    builder = TextBuilder(limits)
    _add_value(builder, value, 1)
    title = value.get("title") if isinstance(value, dict) else None
    return builder.build(title=title if isinstance(title, str) else None, media_type="application/json")


def _load(text: str) -> Any:
    if not text.strip():
        raise UnreadableDocument("There is no text in it.")
    try:
        return json.loads(text)
    except RecursionError as exc:
        raise UnreadableDocument(TOO_DEEP) from exc
    except ValueError as exc:
        whole = _parse_lines(text)
        if whole is not None:
            return whole
        place = f", at line {exc.lineno}" if isinstance(exc, json.JSONDecodeError) else ""
        raise UnreadableDocument(f"It is not valid JSON{place}: export it again.") from exc


def _parse_lines(text: str) -> list[Any] | None:
    """The values of JSON Lines; None if it is not that."""
    try:
        values = [json.loads(line) for line in text.split("\n") if line.strip()]
    except (ValueError, RecursionError):
        return None
    return values if len(values) > 1 else None


def _add_value(builder: TextBuilder, value: Any, depth: int) -> None:
    if depth > MAX_DEPTH:
        raise UnreadableDocument(TOO_DEEP)
    if isinstance(value, dict):
        _record(builder, value, depth)
    elif isinstance(value, list):
        _list(builder, value, depth)
    else:
        builder.block(_format_value(value))


def _record(builder: TextBuilder, record: dict[str, Any], depth: int) -> None:
    """What a record says itself, then what is nested in it, each below its name."""
    builder.add_lines(f"{name}: {_format_value(value)}" for name, value in record.items() if not _is_nested(value))
    for name, value in record.items():
        if _is_nested(value) and value:
            builder.add_heading(min(depth, HEADING_LEVELS), name)
            _add_value(builder, value, depth + 1)
    builder.leave(min(depth, HEADING_LEVELS))


def _list(builder: TextBuilder, values: list[Any], depth: int) -> None:
    if not any(_is_nested(value) for value in values):
        builder.add_lines(f"- {_format_value(value)}" for value in values)
    elif _is_table(values):
        add_table(builder, _iter_rows(values))
    else:
        for number, value in enumerate(values, 1):
            if isinstance(value, dict):
                builder.add_heading(min(depth, HEADING_LEVELS), _name(value) or str(number))
            _add_value(builder, value, depth + 1)
        builder.leave(min(depth, HEADING_LEVELS))


def _is_nested(value: Any) -> bool:
    return isinstance(value, dict | list)


def _is_table(values: list[Any]) -> bool:
    """Whether all are records without anything nested, of the same few names."""
    return (
        len(values) > 1
        and all(isinstance(value, dict) and not any(map(_is_nested, value.values())) for value in values)
        and len({name for value in values for name in value}) <= 2 * min(len(value) for value in values)
    )


def _iter_rows(values: list[dict[str, Any]]) -> Iterator[list[str]]:
    names = list(dict.fromkeys(name for value in values for name in value))
    yield names
    yield from ([_format_value(value.get(name)) for name in names] for value in values)


def _name(record: dict[str, Any]) -> str | None:
    return next((join_lines(name) for key in TITLES if isinstance(name := record.get(key), str) and name.strip()), None)


def _format_value(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
