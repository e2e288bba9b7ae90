"""JSON as bytes, by orjson where it can."""

import json
from typing import Any

import orjson


def dump_json(value: Any) -> bytes:
    """*value* as JSON in UTF-8; what orjson refuses, such as half a surrogate pair, as the standard library has it."""
    try:
        return orjson.dumps(value)
    except TypeError:
        return json.dumps(value).encode()
