"""JSON that callers send: one reader for every way in, so that what one of them refuses does not come in by another."""

import json
import re
from collections.abc import Iterable
from math import isinf
from typing import Any

import orjson

from utils.errors import BadInput
from utils.validation import is_field_name

DEEPEST_JSON = 64  # objects and lists within each other: Python reads and writes about 970, then fails in either
MAX_VALUES = 10_000  # names and elements; whoever reads them makes an object of each, and maybe an error of each
_MAX_DIGITS = 308  # of a whole number: as far as double precision goes
# To the next comma or opening bracket, or to the end; a string that nobody ends goes on to the end, too.
_TO_NEXT_VALUE = re.compile(rb'(?:[^",\[{]++|"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z))*+[,\[{]?+', re.DOTALL)


def read_json(data: bytes) -> Any:
    """What *data* says in UTF-8, with or without a byte order mark.

    Numbers that JSON has not would be stored, and make every answer that shows them unreadable; of a name that is there
    twice, two readers may take different values.

    Raises:
        ValueError: it is not JSON, has a name twice in one object, or a number that no double-precision one comes near.
        BadInput: it is nested too deeply, or has too many values.
    """
    _check_number_of_values(data)
    try:
        text = data.decode("utf-8-sig")
        value = json.loads(
            text,
            parse_constant=_refuse_constant,
            parse_float=_read_float,
            parse_int=_read_int,
            object_pairs_hook=_read_object,
        )
    except UnicodeDecodeError:
        raise ValueError("it is not UTF-8") from None
    except RecursionError:
        raise _refuse_size() from None
    _check_depth(value)
    return value


def read_storable(data: bytes) -> Any:
    """JSON of which all can be stored and sent: no half of a surrogate pair, no whole number over 64
    bits.

    Raises:
        ValueError, BadInput: see `read_json`.
    """
    value = read_json(data)
    try:
        orjson.dumps(value)
    except TypeError as exc:
        raise ValueError(str(exc)) from exc
    return value


def _check_number_of_values(data: bytes) -> None:
    """Before anything is made of them."""
    place = 0
    for _ in range(MAX_VALUES):
        match = _TO_NEXT_VALUE.match(data, place)
        place = match.end() if match else len(data)
        if place == len(data):
            return
    raise _refuse_size()


def _check_depth(value: object) -> None:
    inner = [value]
    for _ in range(DEEPEST_JSON):
        inner = [child for one in inner for child in _list_children(one) if isinstance(child, dict | list)]
        if not inner:
            return
    raise _refuse_size()


def _list_children(value: object) -> Iterable[object]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


def _refuse_size() -> BadInput:
    return BadInput(
        f"The JSON is nested too deeply or has too many values: send at most {DEEPEST_JSON} objects and lists within "
        f"each other, and at most {MAX_VALUES:,} values."
    )


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not a number of JSON")


def _read_float(digits: str) -> float:
    number = float(digits)
    if isinf(number):
        raise ValueError(f"the number {digits[:100]} is too large")
    return number


def _read_int(digits: str) -> int:
    if len(digits.removeprefix("-")) > _MAX_DIGITS:
        raise ValueError(f"the number {digits[:20]}… of {len(digits):,} digits is too large")
    return int(digits)


def _read_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        name = _find_repeated(pairs)
        raise ValueError(f"it has {f'the name {name!r}' if is_field_name(name) else 'a name'} twice in one object")
    return found


def _find_repeated(pairs: list[tuple[str, Any]]) -> str:
    seen: set[str] = set()
    return next(name for name, _ in pairs if name in seen or seen.add(name))  # type: ignore[func-returns-value]
