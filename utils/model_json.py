"""JSON in the replies of language models, which like to say something before it, or put it in a block of code."""

import json
from typing import Any

from utils.errors import BadInput
from utils.strict_json import read_storable


def find_json_object(text: str) -> dict[str, Any] | None:
    """The first JSON object in *text*; None where there is none that can be stored."""
    start = text.find("{")
    if start < 0:
        return None
    try:
        _, end = json.JSONDecoder().raw_decode(text, start)
        found = read_storable(text[start:end].encode())
    except (ValueError, RecursionError, BadInput):
        return None
    return dict(found)
