"""An answer cut into sentences while it is written, so that each can be spoken before the next is there."""

import re
from collections.abc import Iterator

from providers.chat.sentences import is_abbreviated
from utils.facts.folding import fold
from utils.facts.words import MONTHS
from utils.spoken_text import make_spoken_line, make_spoken_text

LONGEST_PIECE = 400  # characters of text without an end of sentence, which is cut there: half a minute of speech
_END = re.compile(r"(?<![.!?…])[.!?…]++[\"'”’»)\]*_]*+(?=\s)|[。！？؟।]+|\n")
_SENTENCE = re.compile(r"[\"'“‘«(\[¿¡*_]{0,10}[^\W_a-zß-öø-ÿ]")
_BLOCK = re.compile(r"(?<![^\S\n])[^\S\n]*+(?:\n|\||#|[-*•+>]\s|\d{1,3}[.)]\s)")
_ITEM_NUMBER = re.compile(r"(?<!\s)\s*+\d{1,3}")
_DAY = re.compile(r"(?<![\w.,:])\d{1,2}\Z")
_WORD = re.compile(r"(?<![^\W\d_])([^\W\d_]++)(?=[\W\d_])")  # a whole one
_LONGEST_MONTH = 12  # characters
_OPEN_MARK = re.compile(r"\[[\d, ]*\Z")
_RULE = re.compile(r"[\s|:-]*")


class SentenceCutter:
    """Takes the answer as it comes and gives what is to be spoken: sentences, list items and rows of tables."""

    def __init__(self) -> None:
        self._rest = ""

    def feed(self, text: str) -> Iterator[str]:
        """The sentences that *text* completes, without marks of sources and of Markdown."""
        self._rest += text
        while (end := _find_end(self._rest)) is not None:
            piece, self._rest = self._rest[:end], self._rest[end:]
            if spoken := _make_spoken(piece):
                yield spoken

    def finish(self) -> Iterator[str]:
        """What is left, though it has no end."""
        piece, self._rest = self._rest, ""
        if spoken := _make_spoken(piece):
            yield spoken


def _find_end(text: str) -> int | None:
    """Where the first sentence of *text* ends; None: more has to come first."""
    for match in _END.finditer(text, 0, LONGEST_PIECE + 1):
        if _is_end(text, match):
            return match.end()
    if len(text) <= LONGEST_PIECE:
        return None
    end = text.rfind(" ", 1, LONGEST_PIECE)
    end = LONGEST_PIECE if end < 0 else end
    mark = _OPEN_MARK.search(text[:end])
    return mark.start() if mark and mark.start() else end


def _is_end(text: str, match: re.Match[str]) -> bool:
    """Whether a sentence ends there; False also where only what follows can tell."""
    before, after = text[: match.start()], text[match.end() :]
    if match[0] == "\n":
        return before.lstrip()[:1] in ("|", "#") or bool(_BLOCK.match(after)) or not before.strip()
    if match[0][0] in "。！？؟।":
        return True
    if match[0].rstrip("\"'”’»)]*_") == "." and (_ITEM_NUMBER.fullmatch(before) or is_abbreviated(before)):
        return False
    if match[0] == "." and _DAY.search(before) and _may_be_month(after.lstrip()):
        return False
    return bool(_SENTENCE.match(after.lstrip()))


def _may_be_month(text: str) -> bool:
    """Whether *text* begins with the name of a month, as in "3. May"; True also where only what follows can tell."""
    word = _WORD.match(text)
    return fold(word[1]) in MONTHS if word else len(text) < _LONGEST_MONTH


def _make_spoken(piece: str) -> str:
    row = piece.strip()
    if row.startswith("|"):
        cells = [] if _RULE.fullmatch(row) else [make_spoken_line(cell.strip()) for cell in row.strip("|").split("|")]
        spoken = "".join(f"{cell.rstrip('.')}. " for cell in cells if cell).rstrip()
    else:
        spoken = make_spoken_text(piece)
    spoken = spoken.replace("**", "")  # of what is bold for several sentences
    return spoken if any(map(str.isalnum, spoken)) else ""
