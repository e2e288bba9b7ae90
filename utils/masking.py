"""What may stand in a log line: values as plain JSON, with secrets taken out and ids hashed wherever they appear."""

import math
import re
from collections.abc import Mapping
from functools import lru_cache
from itertools import islice
from typing import Any

from utils.log_ids import hash_id

HIDDEN = "***"
TEXT_LIMIT = 16_000
"""Characters of one text that are kept: docker splits longer lines, and pipes mix those of several processes."""
_ITEM_LIMIT = 100
_LONGEST_KNOWN = 64  # characters of a name that is kept in memory
_SHORTEST_SECRET = 6  # in its smallest surroundings: "://:x@"

_SECRET_NAME = re.compile(
    r"(?:authorization|cookie|(?:api|access|page|private|secret)[-_]?key|password|passwd|secret|(?:^|[-_])token|dsn)$",
    re.I,
)
# What comes before the value is kept (group 1), the value goes. None can backtrack over more than a few characters.
_PATTERNS = tuple(
    re.compile(pattern, re.I)
    for pattern in (
        r"(\bak_live_)\w+",
        r"(\bsk-)[\w-]{8,}",
        # X-API-Key: value · {'authorization': 'Bearer value'} · (b'authorization', b'Bearer value')
        r"""((?<![a-z])(?:proxy-)?(?:authorization|(?:x-)?api-key)\b"""
        r"""[\s"'\\]{0,4}[:=,][\s"'\\]{0,4}(?:b['"])?(?:(?:bearer|basic|token)\s+)?)[^\s"'\\,;)}\]]+""",
        r"(\bbearer\s+)[\w.~+/=-]{8,}",
        # redis://user:password@host; a password may hold an @ that was not encoded
        r"(://[^\s/:@]{0,256}:)[^\s/]{1,1024}(?=@)",
        # ?api_key=value · password=value of a libpq string
        r"""((?<![a-z])(?:api_?key|page_key|access_token|auth_token|password|passwd|secret)=)[^\s&"'\\;,)]+""",
    )
)

# Ids of conversations, runs, visitors and documents: by the names of values, and in the names of keys in Redis.
_ID_NAME = re.compile(r"(?:^|_)(?:thread|conversation|session|run|visitor|subject|document)_id$", re.I)
_ID_PATTERNS = (
    re.compile(r"""(\bcheckpoint:)([^\s"'{}\\,;:)\]]+)"""),
    re.compile(r"""(\b(?:run|turn):\{[^{}\s]{0,64}\}:)([\w-]+)"""),
    re.compile(r"""(\b(?:places:|(?:runs|turns):(?:\{[^{}\s]{0,64}\}:of:|deleted:)))([^\s"'{}\\,;:)\]]+)"""),
    re.compile(r"""(\blimit:[^\s/]{1,64}/)([^\s"'\\,;)\]]+)"""),
)

# Where none of these stands in the case-folded text, no pattern matches. Without an i, which has more cases than two.
_SIGNS = (
    *("ak_l", "sk-", "author", "-key", "bearer", "://", "key=", "token=", "password=", "passwd=", "secret="),
    *("checkpoint:", "run:{", "turn:{", "runs:", "turns:", "places:", "limit:"),  # ids follow
)


def mask(text: str) -> str:
    """*text* with API keys, credentials in headers and passwords in addresses replaced by `***`, and ids hashed."""
    if len(text) < _SHORTEST_SECRET:
        return text
    folded = text.casefold()
    for sign in _SIGNS:  # six patterns over every name and value were a fifth of a request
        if sign in folded:
            return _mask_value(text)
    return text


def _mask_value(text: str) -> str:
    for pattern in _PATTERNS:
        text = pattern.sub(rf"\1{HIDDEN}", text)
    for pattern in _ID_PATTERNS:
        text = pattern.sub(lambda found: found[1] + hash_id(found[2]), text)
    return text


def make_loggable(value: object) -> Any:
    """*value* as JSON can hold it, without secrets and ids; what bears the name of a secret is hidden as a whole.

    Long texts lose their middle, large collections their end; a collection inside itself becomes "…".
    """
    return _convert(value, "", ())


def _convert(value: object, name: str, around: tuple[int, ...]) -> Any:
    if value is None or isinstance(value, bool):
        return value
    if name and _is_secret(name):
        return HIDDEN
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else str(value)  # JSON has no NaN
    if isinstance(value, str):
        return hash_id(value) if name and value and _is_id(name) else _read_text(str(value))
    if isinstance(value, Mapping | list | tuple | set | frozenset):
        return "…" if id(value) in around else _convert_collection(value, name, (*around, id(value)))
    return _read_text(_shorten_text(value))


def _convert_collection(value: Any, name: str, around: tuple[int, ...]) -> Any:
    if len(around) > 8:
        return "…"
    if isinstance(value, Mapping):
        named = ((_shorten_text(key), item) for key, item in islice(value.items(), _ITEM_LIMIT))
        return {_mask_named(key): _convert(item, key, around) for key, item in named}
    return [_convert(item, name, around) for item in islice(value, _ITEM_LIMIT)]


# A service logs the same few names again and again, each with every line.
@lru_cache(1024)
def _mask_known_secret(name: str) -> bool:
    return _SECRET_NAME.search(name) is not None


@lru_cache(1024)
def _is_known_id(name: str) -> bool:
    return _ID_NAME.search(name) is not None


_cached_mask = lru_cache(1024)(mask)


def _is_secret(name: str) -> bool:
    return _mask_known_secret(name) if len(name) <= _LONGEST_KNOWN else _SECRET_NAME.search(name) is not None


def _is_id(name: str) -> bool:
    return len(name) <= _LONGEST_KNOWN and _is_known_id(name)


def _mask_named(name: str) -> str:
    return _cached_mask(name) if len(name) <= _LONGEST_KNOWN else mask(name)


def _shorten_text(value: object) -> str:
    try:
        return str(value)
    except Exception as exc:  # a log line must not fail for what is told in it
        return f"<{type(value).__name__} that cannot be shown: {type(exc).__name__}>"


def _read_text(text: str) -> str:
    # Shortened twice: masking megabytes takes a second, and a secret cut in two would not be recognised at the cut.
    return _shorten(mask(_shorten(text, 4 * TEXT_LIMIT)), TEXT_LIMIT)


def _shorten(text: str, limit: int) -> str:
    if len(text) <= limit:
        return text
    half = limit // 2
    return f"{text[:half]} … {len(text) - 2 * half} characters … {text[-half:]}"
