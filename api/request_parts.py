"""What a view is sent, read by the models that its signature names: `path`, `query` and `body`.

One reader for every route, so that a rule about input holds for all: query parameters that a route does not know are
refused, a body has the media type that is described, and neither has characters that cannot be stored.
"""

import json
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, get_origin, get_type_hints

from flask import request
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from utils.errors import BadInput, UnsupportedMediaType
from utils.strict_json import read_json
from utils.validation import describe_error, is_field_name

JSON, MERGE_PATCH = "application/json", "application/merge-patch+json"
_MAX_ERRORS = 20
_SUSPECT = re.compile(rb"\\u(?:0000|[dD][89a-fA-F])")


@dataclass(frozen=True, slots=True)
class RequestParts:
    """The models of a view's arguments; None where it takes no such argument."""

    path: type[BaseModel] | None = None
    query: type[BaseModel] | None = None
    body: type[BaseModel] | None = None
    query_names: frozenset[str] = frozenset()
    lists: frozenset[str] = field(default=frozenset())

    def read(self, path_values: Mapping[str, Any]) -> dict[str, Any]:
        """The view's arguments out of the present request, whose path holds *path_values*.

        Raises:
            BadInput: something is not valid; it names each parameter and field.
            UnsupportedMediaType: the body is not what the route takes.
        """
        for name, value in path_values.items():
            if "\0" in str(value):
                raise _refuse([_describe_error(name, "Contains a NUL character")])
        query = self._read_query()
        arguments: dict[str, Any] = {} if self.path else dict(path_values)
        if self.path:
            arguments["path"] = _validate(self.path, path_values)
        if self.query:
            arguments["query"] = _validate(self.query, query)
        if self.body:
            is_left_out = not _is_required(self.body) and not request.get_data()
            arguments["body"] = _validate(self.body, {} if is_left_out else read_body())
        return arguments

    def _read_query(self) -> dict[str, Any]:
        if not request.query_string:
            return {}
        query: dict[str, Any] = {}
        errors: list[dict[str, str]] = []
        for name, values in request.args.lists():
            if len(errors) == _MAX_ERRORS:
                break
            if name not in self.query_names:
                place = _show_name(name, request.args, "A parameter")
                errors.append(_describe_error(place, f"Unknown parameter. {self._list_names()}"))
            elif name not in self.lists and len(values) > 1:
                errors.append(_describe_error(name, "It is given more than once"))
            elif any("\0" in value for value in values):
                errors.append(_describe_error(name, "It holds a NUL character"))
            else:
                query[name] = values if name in self.lists else values[0]
        if errors:
            raise _refuse(errors)
        return query

    def _list_names(self) -> str:
        names = ", ".join(sorted(self.query_names))
        return f"This address takes {names}" if names else "This address takes none"


def read_signature(view: Callable[..., Any]) -> RequestParts:
    """What the signature of *view* names.

    Raises:
        TypeError: it names what is not read here.
    """
    named = {name: hint for name, hint in get_type_hints(view).items() if name not in ("ctx", "return")}
    models = {name: hint for name, hint in named.items() if isinstance(hint, type) and issubclass(hint, BaseModel)}
    if unread := models.keys() - {"path", "query", "body"}:
        raise TypeError(f"{view!r}: {', '.join(sorted(unread))} would not be read from the request.")
    fields = models["query"].model_fields if "query" in models else {}
    names = {name: field.alias or name for name, field in fields.items()}
    lists = frozenset(names[name] for name, field in fields.items() if get_origin(field.annotation) is list)
    return RequestParts(**models, query_names=frozenset(names.values()), lists=lists)


def refuse_invalid(error: ValidationError, sent: object) -> BadInput:
    """The refusal for what pydantic found in *sent*, with every wrong field, up to 20 of them."""
    result = error.errors(include_url=False, include_input=False)[:_MAX_ERRORS]
    return _refuse([_describe_error(_find_place(one, sent) or "body", describe_error(one)) for one in result])


def _find_place(error_details: ErrorDetails, sent: object) -> str:
    *place, last = error_details["loc"] or ("",)
    if error_details["type"] == "missing":  # which is nowhere in what was sent
        return ".".join(filter(None, (_show_place(place, sent), _show_name(str(last), {}))))
    return _show_place(error_details["loc"], sent)


def _show_place(place: Sequence[int | str], sent: object) -> str:
    """Where in *sent* something is, as "tables.rooms.0"; without the names that pydantic has for forms of a value."""
    parts = []
    for part in place:
        if isinstance(part, str) and not (isinstance(sent, dict) and part in sent):
            continue
        parts.append(_show_name(part, sent) if isinstance(part, str) else str(part))
        if isinstance(sent, dict):
            sent = sent.get(part)
        elif isinstance(sent, list) and isinstance(part, int) and part < len(sent):
            sent = sent[part]
    return ".".join(parts)


def _show_name(name: str, among: object, what: str = "A field") -> str:
    """The name, or its place *among* others where it does not look like one: it may be a secret in the wrong place."""
    if is_field_name(name):
        return name
    if not isinstance(among, Collection) or name not in among:
        return what
    return f"{what} ({list(among).index(name) + 1} of {len(among)})"


def _is_required(body: type[BaseModel]) -> bool:
    """False where a model says, as flask-openapi3 reads it for the document, that an empty body means its defaults."""
    extra: Mapping[str, Any] = body.model_config.get("openapi_extra", {})  # type: ignore[assignment] # not pydantic's
    return bool(extra.get("required", True))


def _validate(model: type[BaseModel], value: object) -> BaseModel:
    try:
        return model.model_validate(value)
    except ValidationError as error:
        raise refuse_invalid(error, value) from None


def read_body() -> Any:
    """What the present request's body holds.

    Raises:
        BadInput: it is not JSON, or holds what cannot be stored.
        UnsupportedMediaType: it does not say that it is JSON.
    """
    data = request.get_data()
    if not data:
        raise _refuse([_describe_error("body", "Send a JSON object with Content-Type: application/json")])
    _check_media_type()
    try:
        value = read_json(data)
    except ValueError as exc:
        raise BadInput(f"The body is not valid JSON: {exc}.") from None
    if _SUSPECT.search(data):
        _check_characters(value)
    return value


def _check_media_type() -> None:
    types = (JSON, MERGE_PATCH) if request.method == "PATCH" else (JSON,)
    if request.mimetype not in types:
        raise UnsupportedMediaType(
            f"Send the body as {' or '.join(types)}, and name that in the Content-Type header.",
            headers={"Accept": ", ".join(types)},
        )
    if request.headers.get("Content-Encoding", "identity").strip().lower() != "identity":
        raise UnsupportedMediaType("Send the body without Content-Encoding.", headers={"Accept-Encoding": "identity"})


def _check_characters(value: object) -> None:
    """Refuse what JSON can spell but neither UTF-8 nor every database can hold."""
    fields = value if isinstance(value, dict) else {"body": value}
    for name, content in fields.items():
        text = json.dumps([name, content], ensure_ascii=False)
        if "\\u0000" in text.replace("\\\\", ""):
            message = "Holds a NUL character, which databases do not take"
            raise _refuse([_describe_error(_show_name(name, fields), message)])
        try:
            text.encode()
        except UnicodeEncodeError:
            message = "Holds a lone surrogate, which is not a character"
            raise _refuse([_describe_error(_show_name(name, fields), message)]) from None


def _describe_error(name: str, message: str) -> dict[str, str]:
    return {"field": name, "message": message}


def _refuse(errors: list[dict[str, str]]) -> BadInput:
    named = "; ".join(f"{error['field']}: {error['message']}" for error in errors[:_MAX_ERRORS])
    return BadInput(f"{named}.", members={"errors": errors[:_MAX_ERRORS]})
