"""What commands are told of data sources, held to what the API takes."""

from typing import Any

import click
from pydantic import TypeAdapter, ValidationError

from utils.validation import describe_error


class TextParam(click.ParamType[str]):
    """A text of *kind*, see `datasources/text_fields.py`."""

    name = "text"

    def __init__(self, kind: TypeAdapter[str]) -> None:
        self._kind = kind

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The text as it is kept; a refusal names the option."""
        try:
            return self._kind.validate_python(value)
        except ValidationError as exc:
            self.fail(f"{describe_error(exc.errors()[0])}.", param, ctx)
