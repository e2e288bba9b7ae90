"""Titles and headings within sentences of ours: they are data, and say nothing in our name."""

import re

from utils.validation import remove_hidden

_LONGEST = 120  # characters
_MARKUP = re.compile(r"[][\\<>*`#]")


def write_name(name: str) -> str:
    """*name* in Markdown as it is, on one line, without signs that change the direction of what follows; cut where it
    is long."""
    return escape_line(name if len(name) <= _LONGEST else f"{name[:_LONGEST].rstrip()}…")


def escape_line(text: str) -> str:
    """*text* in Markdown as it is, on one line."""
    return _MARKUP.sub(r"\\\g<0>", remove_hidden(" ".join(text.split())))
