"""JSON in the replies of language models, which like to say something before it, or put it in a block of code."""

import json
from typing import Any

from utils.errors import BadInput
from utils.strict_json import read_storable


def find_json_object(text: str) -> dict[str, Any] | None:
    """The first JSON object in *text*; None where there is none that can be stored."""
    json_object, is_storable = find_any_object(text) or ({}, False)
    return json_object if is_storable else None


def find_any_object(text: str) -> tuple[dict[str, Any], bool] | None:
    """The first JSON object in *text*, and whether it can be stored as it is; None where there is none."""
    start = text.find("{")
    if start < 0:
        return None
    try:
        any_object, end = json.JSONDecoder().raw_decode(text, start)
    except (ValueError, RecursionError):
        return None
    try:
        read_storable(text[start:end].encode())
    except (ValueError, BadInput):
        return any_object, False
    return any_object, True
