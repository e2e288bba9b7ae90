"""What callers may send: the formats and limits every entry shares."""

import re

from utils.errors import BadInput

CONVERSATION_ID = re.compile(r"[A-Za-z0-9_-]{1,128}", re.ASCII)
REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,128}", re.ASCII)
LONGEST_MESSAGE = 5000  # characters
# What `check_text` takes, as a pattern of JSON Schema: its \s leaves out some that Python takes for white space.
NON_BLANK_PATTERN = r"[^\s\x1c-\x1f\x85]"


def check_conversation_id(value: str, *, field: str) -> str:
    """*value* if it can name a conversation.

    Raises:
        BadInput: it cannot; *field* says where it stood.
    """
    if CONVERSATION_ID.fullmatch(value):
        return value
    raise wrong_field("A conversation id has 1 to 128 characters out of A-Z, a-z, 0-9, _ and -.", field)


def check_run_id(value: str) -> str:
    """*value* if it can name a run.

    Raises:
        BadInput: it cannot.
    """
    if REQUEST_ID.fullmatch(value):
        return value
    raise wrong_field("A run id has 1 to 128 characters out of A-Z, a-z, 0-9, ., _ and -.", "run_id")


def wrong_field(detail: str, *fields: str) -> BadInput:
    """The refusal of a value in one of *fields*, or of what they say together."""
    return BadInput(detail, members={"errors": [{"field": field, "message": detail} for field in fields]})


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
