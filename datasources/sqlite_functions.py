"""Functions of SQLite's that look for a text in a text, in place of its own.

Those take the product of both lengths, and neither its progress handler nor an interrupt acts within a call. These take
the sum, and look at the time.
"""

import sqlite3
import time
from collections.abc import Callable
from functools import partial

Value = str | bytes | int | float | None
LONGEST_TEXT = 150_000  # bytes; the longest cell of a workbook has 131,068


class TextFunctions:
    """The functions of one connection. `refusal` is why a call was refused, "" where none was."""

    def __init__(self, deadline_s: float) -> None:
        self._deadline_s = deadline_s
        self.refusal = ""

    def register(self, connection: sqlite3.Connection) -> None:
        """Have queries of *connection* call these."""
        matcher = sqlite3.connect(":memory:")

        def glob(pattern: Value, value: Value) -> Value:
            """SQLite's own, but each call of it looks at the time."""
            result: int = matcher.execute("SELECT ? GLOB ?", (value, pattern)).fetchone()[0]
            return result

        trims = {"trim": (True, True), "ltrim": (True, False), "rtrim": (False, True)}
        functions: dict[tuple[str, int], Callable[..., Value]] = {
            ("instr", 2): _find,
            ("glob", 2): glob,
            ("replace", 3): self._replace,
        }
        for name, (left, right) in trims.items():
            functions[name, 2] = partial(_trim, left=left, right=right)
        for (name, count), call in functions.items():
            connection.create_function(name, count, partial(self._call, call), deterministic=True)

    def _call(self, call: Callable[..., Value], *values: Value) -> Value:
        if time.monotonic() > self._deadline_s:
            raise TimeoutError
        return call(*values)

    def _replace(self, value: Value, old: Value, new: Value) -> Value:
        if value is None or old is None:
            return None
        text, old_text, new_text = _read(value), _read(old), _read(new)
        if not old_text or new is None:
            return None if old_text else text if isinstance(value, bytes) else value
        grown = (len(new_text) - len(old_text)) * text.count(old_text) if len(new_text) > len(old_text) else 0
        if len(text) + grown > LONGEST_TEXT:
            self.refusal = f"what replace() gives has more than {LONGEST_TEXT:,} characters"
            raise ValueError(self.refusal)
        return text.replace(old_text, new_text)


def _find(value: Value, part: Value) -> Value:
    if value is None or part is None:
        return None
    if isinstance(value, bytes) and isinstance(part, bytes):
        return value.find(part) + 1
    return _read(value).find(_read(part)) + 1


def _trim(value: Value, characters: Value, *, left: bool, right: bool) -> Value:
    if value is None or characters is None:
        return None
    text, trimmed = _read(value), frozenset(_read(characters))
    begin, end = 0, len(text)
    while left and begin < end and text[begin] in trimmed:
        begin += 1
    while right and begin < end and text[end - 1] in trimmed:
        end -= 1
    return text[begin:end]


def _read(value: Value) -> str:
    """*value* as SQLite casts it to a text."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if not isinstance(value, float):
        return str(value)
    # Zero has no sign there.
    written = f"{value + 0.0:.15g}".replace("inf", "Inf")
    if "." in written or "Inf" in written:
        return written
    mantissa, exponent, power = written.partition("e")
    return f"{mantissa}.0{exponent}{power}"
