"""Lists a part at a time: which part is asked for, and the address of the next one."""

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from flask import request
from pydantic import BaseModel, Field

from domain.paging import Part, Rows
from utils.errors import BadInput
from utils.strict_json import read_json
from utils.validation import refuse_field

MAX_A_PAGE = 200
DEEPEST_OFFSET = 10_000  # rows before it are stepped over one by one
_LONGEST_CURSOR = 4_096


class PageQuery(BaseModel):
    """Which part of a list."""

    limit: int = Field(50, ge=1, le=MAX_A_PAGE)
    offset: int = Field(
        0, ge=0, le=DEEPEST_OFFSET, description="How many to pass over. Deeper parts are found by following `next`."
    )
    after: str | None = Field(
        None, max_length=_LONGEST_CURSOR, description="Where a part goes on; stands in `next`, instead of `offset`."
    )


class PageOut(BaseModel):
    """What every part of a list has."""

    total: int = Field(description="How many there are in all parts.")
    limit: int
    offset: int
    next: str | None = Field(description="The address of the next part; null where there is none.")


def read_part_query(query: PageQuery, *kinds: type) -> Part:
    """The part that is asked for of a list whose keys are of *kinds*, text or datetime.

    Raises:
        BadInput: `after` is of no such list.
    """
    if query.after is None:
        return Part(query.limit, query.offset)
    try:
        offset, *keys = read_json(urlsafe_b64decode(query.after.encode("ascii")))
        values = tuple(_read_key(kind, key) for kind, key in zip(kinds, keys, strict=True))
        return Part(query.limit, min(DEEPEST_OFFSET * 10_000, max(0, int(offset))), values)
    except (ValueError, TypeError, BadInput):
        raise refuse_field("Invalid cursor. Use the address in `next`.", "after") from None


def make_page_members(rows: Rows[Any], part: Part) -> dict[str, Any]:
    """What a `PageOut` of this part of a list has beside its rows."""
    offset = part.offset + len(rows.rows)
    next_ = None if rows.next_after is None else _make_address(part, offset, rows.next_after)
    return {"total": rows.total, "limit": part.limit, "offset": part.offset, "next": next_}


def make_cursor(offset: int, keys: tuple[Any, ...]) -> str:
    """What `read_part_query` takes as `after` for the part that begins after *keys*, *offset* rows from the start."""
    written = [key.isoformat() if isinstance(key, datetime) else key for key in keys]
    return urlsafe_b64encode(json.dumps([offset, *written], separators=(",", ":")).encode()).decode()


def _make_address(part: Part, offset: int, keys: tuple[Any, ...]) -> str:
    query = {name: value for name, value in request.args.items() if name not in ("offset", "after", "limit")}
    return make_own_address({**query, "limit": part.limit, "after": make_cursor(offset, keys)})


def make_own_address(parameters: Mapping[str, Any]) -> str:
    """This request's address in its documented form, without a slash at its end, with other *parameters*."""
    return f"{request.path.rstrip('/')}?{urlencode(parameters)}"


def _read_key(kind: type, key: object) -> Any:
    if not isinstance(key, str):
        raise ValueError("Keys are texts.")
    if kind is not datetime:
        key.encode()  # half a surrogate pair is a ValueError here, and not in the database
        return key
    moment = datetime.fromisoformat(key)
    if moment.tzinfo is None:
        raise ValueError("A moment needs its zone.")
    return moment
