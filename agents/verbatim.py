"""Where words stand in a text word for word, but for case, white space and reference marks; in linear time."""

import re
from bisect import bisect_right

Span = tuple[int, int]

MARK = r"\[\d{1,3}+(?:\s*+,\s*+\d{1,3}+)*+\]"
# White space counts as part of the mark behind it. Tried where it begins and nowhere else: a text may consist of it.
SPACED_MARK = rf"(?<!\s)\s*+{MARK}"
_IRREGULAR = re.compile(rf"{SPACED_MARK}|\s\s++|[^\S ]")
_NOWHERE = "\0"  # between two words that a mark parts, which are not one word
_LOOKED_THROUGH = 8  # times the text, for occurrences that begin or end inside a word


class FoldedText:
    """A text in lower case, without marks `[1]`, every run of white space one space."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._parts: list[str] = []
        self._length = 0
        self._folded_starts, self._starts = [0], [0]
        at = 0
        for match in _IRREGULAR.finditer(text):
            self._append(_lower(text[at : match.start()]))
            at = match.end()
            self._append(self._find_replacement(match))
            self._folded_starts.append(self._length)
            self._starts.append(at)
        self._append(_lower(text[at:]))
        self.folded = "".join(self._parts)

    def find(self, words: "FoldedText") -> Span | None:
        """Where *words* first stand, not as a part of longer words; None where they do not."""
        needle = words.folded.strip()
        budget = _LOOKED_THROUGH * len(self.folded) + len(needle)
        at = self.folded.find(needle) if needle else -1
        while at >= 0 and budget > 0:
            start, end = self._place(at), self._place(at + len(needle) - 1) + 1
            if not _is_of_word(self._text[start - 1 : start]) and not _is_of_word(self._text[end : end + 1]):
                return start, end
            following = self.folded.find(needle, at + 1)
            budget -= len(needle) + following - at
            at = following
        return None

    def _append(self, part: str) -> None:
        self._parts.append(part)
        self._length += len(part)

    def _find_replacement(self, match: re.Match[str]) -> str:
        if match[0].isspace():
            return " "
        before, after = self._text[match.start() - 1 : match.start()], self._text[match.end() : match.end() + 1]
        return _NOWHERE if match.start() and _is_of_word(before) and _is_of_word(after) else ""

    def _place(self, folded_at: int) -> int:
        part = bisect_right(self._folded_starts, folded_at) - 1
        return self._starts[part] + folded_at - self._folded_starts[part]


def _lower(text: str) -> str:
    """*text* in lower case, as long as it was."""
    lower = text.lower()
    return lower if len(lower) == len(text) else "".join(one if len(one.lower()) > 1 else one.lower() for one in text)


def _is_of_word(character: str) -> bool:
    return character.isalnum() or character == "_"
