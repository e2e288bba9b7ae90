"""JSON out, written by orjson: a fifth of the time, and text in any language as it is instead of escaped."""

from datetime import datetime
from typing import Any, cast

import orjson
from flask import Response
from flask.json.provider import DefaultJSONProvider

from utils.moments import format_moment

_OPTIONS = (
    orjson.OPT_SORT_KEYS
    | orjson.OPT_APPEND_NEWLINE
    | orjson.OPT_PASSTHROUGH_DATACLASS  # what Flask writes in ways of its own is left to its `default`
    | orjson.OPT_PASSTHROUGH_DATETIME
)


def _default(value: Any) -> Any:
    return format_moment(value) if isinstance(value, datetime) else DefaultJSONProvider.default(value)


class OrjsonProvider(DefaultJSONProvider):
    """Flask's own, but for the answers of views outside of debug mode; and moments are RFC 3339 everywhere."""

    default = staticmethod(_default)

    def response(self, *args: Any, **kwargs: Any) -> Response:
        """The arguments as a JSON response."""
        if not (self.compact is False or (self.compact is None and self._app.debug)):
            try:
                body = orjson.dumps(self._prepare_response_obj(args, kwargs), self.default, _OPTIONS)
            except TypeError:
                pass  # half a surrogate pair, a number beyond 64 bits, keys that are no strings; or no JSON at all
            else:
                return cast("type[Response]", self._app.response_class)(body, mimetype=self.mimetype)
        return cast(Response, super().response(*args, **kwargs))
