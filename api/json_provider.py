"""JSON out, written by orjson: a fifth of the time, and text in any language as it is instead of escaped."""

from datetime import datetime
from typing import Any

import orjson
from flask.json.provider import DefaultJSONProvider

from utils.moments import format_moment

_OPTIONS = (
    orjson.OPT_SORT_KEYS
    | orjson.OPT_PASSTHROUGH_DATACLASS  # what Flask writes in ways of its own is left to its `default`
    | orjson.OPT_PASSTHROUGH_DATETIME
)
_COMPACT = {"separators": (",", ":")}  # how Flask asks for the JSON of an answer outside of debug mode


def _convert(value: Any) -> Any:
    return format_moment(value) if isinstance(value, datetime) else DefaultJSONProvider.default(value)


class OrjsonProvider(DefaultJSONProvider):
    """Flask's own, but for the answers of views outside of debug mode; and moments are RFC 3339 everywhere."""

    default = staticmethod(_convert)

    def dumps(self, obj: Any, **kwargs: Any) -> str:
        """*obj* as JSON."""
        if kwargs == _COMPACT:
            try:
                return orjson.dumps(obj, self.default, _OPTIONS).decode()
            except TypeError:
                pass  # half a surrogate pair, a number beyond 64 bits, keys that are no strings; or no JSON at all
        return super().dumps(obj, **kwargs)
