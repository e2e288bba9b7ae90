"""JSON as bytes, by orjson where it can."""

import json
from dataclasses import fields, is_dataclass
from typing import Any

import orjson


def dump_json(value: Any) -> bytes:
    """*value* as JSON in UTF-8; what orjson refuses, such as half a surrogate pair, as the standard library has it."""
    try:
        return orjson.dumps(value)
    except TypeError:
        return json.dumps(value, default=make_plain).encode()


def make_plain(value: Any) -> Any:
    """A dataclass as a mapping, as orjson has it; for `default` of `json.dumps`.

    Raises:
        TypeError: *value* is none.
    """
    if not is_dataclass(value):
        raise TypeError(f"{type(value).__name__} is no JSON")
    return {each.name: getattr(value, each.name) for each in fields(value)}
