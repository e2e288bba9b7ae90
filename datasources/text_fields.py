"""What people say of data sources, their tables and columns: how long it may be, and that all of it is to be seen."""

from typing import Annotated, TypeVar

from pydantic import AfterValidator, Field, StringConstraints, TypeAdapter, ValidationError

from utils.validation import LINE_PATTERN, LINES_PATTERN, check_line, check_lines, describe_error, refuse_field

T = TypeVar("T")
MAX_SYNONYMS, LONGEST_SYNONYM = 50, 80
_LINE = Field(json_schema_extra={"pattern": LINE_PATTERN})
SourceName = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200), AfterValidator(check_line), _LINE
]
Text = Annotated[  # it may say nothing
    str,
    StringConstraints(strip_whitespace=True, max_length=2_000),
    AfterValidator(check_lines),
    Field(json_schema_extra={"pattern": LINES_PATTERN}),
]
Synonym = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=LONGEST_SYNONYM),
    AfterValidator(check_line),
    _LINE,
]
NAME: TypeAdapter[str] = TypeAdapter(SourceName)
TEXT: TypeAdapter[str] = TypeAdapter(Text)
SYNONYM: TypeAdapter[str] = TypeAdapter(Synonym)


def read_text_field(kind: TypeAdapter[T], value: object, field: str) -> T:
    """*value* as it is kept.

    Raises:
        BadInput: it cannot be said; the text names the *field*.
    """
    try:
        return kind.validate_python(value)
    except ValidationError as exc:
        raise refuse_field(f"{field}: {describe_error(exc.errors()[0])}.", field) from exc
