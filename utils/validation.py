"""What callers may send: the formats and limits every entry shares."""

import re
from collections.abc import Mapping
from typing import Any

from utils.errors import BadInput

CONVERSATION_ID = re.compile(r"[A-Za-z0-9_-]{1,128}", re.ASCII)
BOT_ID = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}", re.ASCII)
PUBLIC_ID = re.compile(rf"[a-z0-9][a-z0-9_-]{{0,62}}/{BOT_ID.pattern}", re.ASCII)  # of a bot: its tenant, and its id
# Of a website, or of all below a name, as CORS_ORIGINS has it.
ORIGIN = re.compile(r"\*|https?://(\*\.)?[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?(:[0-9]{1,5})?", re.ASCII)
API_KEY = re.compile(r"[\x21-\x7e]{1,500}", re.ASCII)  # of a provider; it goes into a header
_FIELD_NAME = re.compile(r"(?!sk-|ak_)[\w-]{1,40}", re.IGNORECASE)
REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,128}", re.ASCII)
# https://www.w3.org/TR/trace-context/#traceparent-header; versions to come may say more at its end.
TRACE_PARENT = re.compile(r"(?!ff)[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}(-[!-~]{1,64})?", re.ASCII)
LONGEST_MESSAGE = 5000  # characters
# By pydantic's names of errors, whose own messages speak to programmers; in braces what it tells in the context.
_MESSAGES = {
    "missing": "Is missing",
    "extra_forbidden": "Unknown field",
    "model_type": "Send a JSON object",
    "model_attributes_type": "Send a JSON object",
    "dict_type": "Has to be a JSON object",
    "list_type": "Has to be a list",
    "string_type": "Has to be a text",
    "string_too_short": "Has to have {min_length} characters or more",
    "string_too_long": "Has to have {max_length} characters or fewer",
    "string_pattern_mismatch": "Has to match the pattern {pattern}",
    "too_short": "Has to have {min_length} entries or more",
    "too_long": "Has to have {max_length} entries or fewer",
    "literal_error": "Has to be {expected}",
    "enum": "Has to be {expected}",
    "greater_than": "Has to be more than {gt}",
    "greater_than_equal": "Has to be {ge} or more",
    "less_than": "Has to be less than {lt}",
    "less_than_equal": "Has to be {le} or less",
    **dict.fromkeys(("int_type", "int_parsing", "int_from_float", "int_parsing_size"), "Has to be a whole number"),
    **dict.fromkeys(("float_type", "float_parsing", "finite_number"), "Has to be a number"),
    **dict.fromkeys(("bool_type", "bool_parsing"), "Has to be true or false"),
}
_SHOULD = re.compile(r"^(Input|String|Value|List|Dictionary|URL) should ")
# What `check_text` takes, as a pattern of JSON Schema: its \s leaves out some that Python takes for white space.
NON_BLANK_PATTERN = r"[^\s\x1c-\x1f\x85]"
# Characters that are not shown, or change how others are: controls, marks that reorder, zero-width ones but joiners.
_HIDDEN = (
    r"\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\xad\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff0-\ufffb"
)
_HIDDEN_TAGS = "\U000e0000-\U000e007f"  # which patterns of JSON Schema cannot name everywhere
_HIDDEN_IN_LINES, _HIDDEN_IN_LINE = (re.compile(f"[{_HIDDEN}{_HIDDEN_TAGS}{more}]") for more in ("", r"\t\n\r"))
# What `check_lines` and `check_line` take.
LINES_PATTERN, LINE_PATTERN = rf"^[^{_HIDDEN}]*$", rf"^[^{_HIDDEN}\t\n\r]*[^\s{_HIDDEN}][^{_HIDDEN}\t\n\r]*$"


def check_conversation_id(value: str, *, field: str) -> str:
    """*value* if it can name a conversation.

    Raises:
        BadInput: it cannot; *field* says where it stood.
    """
    if CONVERSATION_ID.fullmatch(value):
        return value
    raise refuse_field("A conversation id has 1 to 128 characters out of A-Z, a-z, 0-9, _ and -.", field)


def check_run_id(value: str, *, field: str = "run_id") -> str:
    """*value* if it can name a run.

    Raises:
        BadInput: it cannot.
    """
    if REQUEST_ID.fullmatch(value):
        return value
    raise refuse_field("A run id has 1 to 128 characters out of A-Z, a-z, 0-9, ., _ and -.", field)


def refuse_field(detail: str, *fields: str) -> BadInput:
    """The refusal of a value in one of *fields*, or of what they say together."""
    return BadInput(detail, members={"errors": [{"field": field, "message": detail} for field in fields]})


def is_field_name(text: str) -> bool:
    """Whether *text* looks like the name of a field, and may be repeated. Else it may be anything, such as an API key
    that somebody sent in its place."""
    return _FIELD_NAME.fullmatch(text) is not None


def describe_error(error: Mapping[str, Any]) -> str:
    """What pydantic found wrong with a value, as one of its `errors()` with the context, in plain words."""
    kind, limits = str(error["type"]), error.get("ctx", {})
    if kind in ("string_too_short", "too_short") and limits["min_length"] == 1:
        return "Is empty"
    if kind in _MESSAGES:
        return _MESSAGES[kind].format(**limits)
    message = str(error["msg"]).removeprefix("Value error, ")
    return _SHOULD.sub("Has to ", message)


def check_text(value: str) -> str:
    """*value* if it says something in characters that can be stored.

    Raises:
        ValueError: it is blank, or holds half of a surrogate pair (which JSON can spell but UTF-8 cannot).
    """
    if not value.strip():
        raise ValueError("Must not be blank")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ValueError("Holds a lone surrogate, which is not a character") from None
    return value


def check_line(value: str) -> str:
    """*value* if it says something in one line, in characters that are all to be seen.

    Raises:
        ValueError: it does not.
    """
    return _check_visible(check_text(value), _HIDDEN_IN_LINE)


def check_lines(value: str) -> str:
    """*value*, which may be empty and have several lines, if all of its characters are to be seen.

    Raises:
        ValueError: they are not.
    """
    return _check_visible(check_text(value), _HIDDEN_IN_LINES) if value else value


def remove_hidden(value: str) -> str:
    """*value*, which may have several lines, without characters that are not shown or cannot be stored."""
    return _HIDDEN_IN_LINES.sub("", value).encode("utf-8", "replace").decode()


def _check_visible(value: str, hidden: re.Pattern[str]) -> str:
    if match := hidden.search(value):
        code = f"U+{ord(match.group()):04X}"
        raise ValueError(f"Holds {code}, a character that is not shown or changes how others are shown: take it out")
    return value
