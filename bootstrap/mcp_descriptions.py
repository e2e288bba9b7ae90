"""What servers of others say of their tools, made fit to be shown to operators and models, and to check arguments by.

Such a schema is code of others: patterns can keep a processor busy for years with a few characters, and so can
references that lead to each other.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from utils.validation import remove_hidden

_LONGEST_DESCRIPTION, _LONGEST_SCHEMA = 2_000, 10_000  # characters, which models read with each question
_MAX_PARTS = 400  # of a schema, with those that are referred to as often as they are
_LEFT_OUT = {
    "pattern",
    "patternProperties",
    "$id",
    "$schema",
    "$anchor",
    "$comment",
}  # the server checks patterns itself
_OF_NAMES = {"properties", "$defs", "definitions", "dependentSchemas"}
_REFUSED = {"$dynamicRef", "$dynamicAnchor", "$recursiveRef"}


def clean_description(text: str) -> str:
    """*text* as people see it: models are told nothing that an operator is not shown."""
    return remove_hidden(text)[:_LONGEST_DESCRIPTION]


def clean_schema(schema: Mapping[str, Any]) -> dict[str, Any]:
    """*schema* without hidden characters and patterns.

    Raises:
        ValueError: it is too large, or refers to itself or elsewhere.
    """
    cleaned = {str(name): value for name, value in _clean_members(schema).items()}
    if len(json.dumps(cleaned, ensure_ascii=False)) > _LONGEST_SCHEMA:
        raise ValueError("The schema is too long.")
    _count(cleaned, cleaned, _MAX_PARTS)
    return cleaned


def _clean_members(members: Mapping[str, Any]) -> dict[str, Any]:
    return {
        remove_hidden(name): _clean_names(value) if name in _OF_NAMES else _clean(value)
        for name, value in members.items()
        if name not in _LEFT_OUT
    }


def _clean_names(schemas: object) -> object:
    """Schemas by names of their own, which may be those of keywords."""
    if not isinstance(schemas, dict):
        return _clean(schemas)
    return {remove_hidden(name): _clean(schema) for name, schema in schemas.items()}


def _clean(value: object) -> object:
    match value:
        case str():
            return remove_hidden(value)
        case list():
            return [_clean(each) for each in value]
        case dict():
            return _clean_members(value)
    return value


def _count(value: object, root: Mapping[str, Any], budget: int) -> int:
    """What is left of *budget*, a number of parts, after those of *value*.

    Raises:
        ValueError: none are.
    """
    if budget <= 0:
        raise ValueError("The schema has too many parts, or refers to itself.")
    if isinstance(value, list):
        for each in value:
            budget = _count(each, root, budget - 1)
    elif isinstance(value, dict):
        for name, each in value.items():
            if name in _REFUSED:
                raise ValueError("The schema refers to what is not known before it is used.")
            budget = _count(_follow(each, root) if name == "$ref" else each, root, budget - 1)
    return budget


def _follow(reference: object, root: Mapping[str, Any]) -> object:
    """What a reference such as #/$defs/Room leads to (RFC 6901); a property may have the name, and a schema."""
    if not isinstance(reference, str):
        return reference
    if not reference.startswith("#"):
        raise ValueError("The schema refers elsewhere.")
    result: Any = root
    for part in filter(None, reference[1:].split("/")):
        name = part.replace("~1", "/").replace("~0", "~")
        if isinstance(result, Sequence) and name.isdecimal() and int(name) < len(result):
            result = result[int(name)]
        elif isinstance(result, dict) and name in result:
            result = result[name]
        else:
            raise ValueError("The schema refers to what it does not have.")
    return result
