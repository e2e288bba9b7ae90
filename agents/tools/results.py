"""What a tool gives, taken with care: tools are others' code, and repeat what others' services say."""

import json
from collections.abc import Mapping
from dataclasses import replace

from agents.tools.last_result import LastResult
from agents.tools.tool import ToolFailed, ToolResult
from retrieval.search import SearchResult
from utils.json_bytes import make_plain
from utils.query_tables import QueryTable
from utils.validation import remove_hidden

_LONGEST_FAILURE = 600  # characters
_MAX_BYTES = 2_000_000  # of what is no text; it is kept in the conversation
_TYPES = {
    "text": str,
    "found": SearchResult | None,
    "table": QueryTable | None,
    "chart": Mapping | None,
    "data": Mapping | None,
    "last": LastResult | None,
}


class InvalidToolResult(Exception):
    """A tool did what no tool may."""


def clean_failure(failure: ToolFailed) -> ToolFailed:
    """*failure* with a message that can be stored and shown, cut where it is too long."""
    return ToolFailed(remove_hidden(str(failure)[:_LONGEST_FAILURE]), says_all=failure.says_all)


def check_result(result: ToolResult, max_characters: int) -> ToolResult:
    """*result* with a text that can be stored and shown.

    Raises:
        ToolFailed: its text is too long.
        ToolBroke: it is none, or has what cannot be kept.
    """
    if not isinstance(result, ToolResult):
        raise InvalidToolResult(f"Its result is {type(result).__name__}, and no ToolResult.")
    for name, kind in _TYPES.items():
        if not isinstance(getattr(result, name), kind):
            raise InvalidToolResult(f"Its result has a {name} that is {type(getattr(result, name)).__name__}.")
    if len(result.text) > max_characters:
        raise ToolFailed(f"Its result has {len(result.text):,} characters, more than the limit of {max_characters:,}.")
    if result.rest and not {"columns", "rows"} <= set(result.data or {}):
        raise InvalidToolResult("Its result has more rows, and no data that they belong to.")
    _check_size(result)
    return replace(result, text=remove_hidden(result.text))


def _check_size(result: ToolResult) -> None:
    parts = {"chart": (result.chart, None), "data": (result.data, None), "table": (result.table, make_plain)}
    for name, (value, default) in parts.items():
        try:
            size = len(json.dumps(value, allow_nan=False, ensure_ascii=False, default=default).encode())
        except (TypeError, ValueError, RecursionError) as exc:
            raise InvalidToolResult(f"Its result has a {name} that is no JSON.") from exc
        if size > _MAX_BYTES:
            raise ToolFailed(f"Its {name} has {size:,} bytes, more than the limit of {_MAX_BYTES:,}.")
