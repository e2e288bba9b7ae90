"""An answer in sentences, each with the marks it rests on: the units that are checked."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from agents.verification.meta_sentences import is_meta, remove_references
from providers.chat.sentences import is_abbreviated

# Strangers write what models repeat. So nothing here is tried at each of many blanks or dots in a row: a repeat is
# possessive, begins where none of its own stands before it, or has a limit.
_MARK = r"\[\d{1,3}+(?:\s*+,\s*+\d{1,3}+)*+\]"
_SPACED = rf"(?<![ \t])[ \t]*+{_MARK}"
_STOP = "(?<![.!?…])[.!?…]++[\"'”’»)*_]*+"
_END = re.compile(rf"(?:{_STOP}(?:{_SPACED}){{0,12}}|(?:{_SPACED}){{1,12}}(?:{_STOP})?)(?=\s|$)")
_MARKS = re.compile(_SPACED)
_NEXT = re.compile(r"[\"'“‘«(\[¿¡*_-]{0,10}+[^\W_a-zß-öø-ÿ]|…")
_BULLET = re.compile(
    r"^\s*(?:[-*•‣–+>]\s+|\d{1,3}[.)]\s+|\|\s*"
    r"|(?:step|method|option|paso|método|opción|langkah|cara) \d{1,2}[:.)]\s+)*",
    re.IGNORECASE,
)
_ITEM = re.compile(r"(?:[-*•‣–+]|\d{1,3}[.)])\s")
_RULE = re.compile(r"[\s|:=_*+-]*")
_HEADING = re.compile(r"#{1,6}\s")
_DECORATION = re.compile(r"\*\*|__|`|^\*|\*$|(?<=\s)\*(?=\S)|(?<=\S)\*(?=\s)")
_WORD = re.compile(r"[^\W_]{2,}|\d")
_SPACE = re.compile(r"\s+")
_LONGEST = 2000  # characters of a sentence that are looked at
_MIN_WORDS = 5  # a sentence of fewer, without a mark, is a courtesy
# Before the sentence that says why; any single word is one, too.
_NODS = frozenset({"of course", "no problem", "por supuesto", "tentu saja", "tentu tidak"})


@dataclass(frozen=True, slots=True)
class Claim:
    """A sentence of an answer, which stands with its marks from *start* to *end*; *text* is without them and without
    other words that only name a source.

    *cited* are the passages it rests on: those it names, else those named next in its paragraph, else those before.
    """

    start: int
    end: int
    text: str
    cited: tuple[int, ...]
    whole: str = ""  # with those words

    @property
    def is_checkable(self) -> bool:
        """Whether there is anything to check: no heading, question, line above a list, or courtesy without a mark."""
        if not _WORD.search(self.text) or (self.text.endswith((":", "?")) and not self.cited) or is_meta(self.whole):
            return False
        return bool(self.cited) or len(_WORD.findall(self.text)) >= _MIN_WORDS or any(map(str.isdigit, self.text))

    @property
    def leads_up(self) -> bool:
        """Whether it names no passage and only leads up to the next sentence, such as a "Yes."."""
        if self.cited or any(map(str.isdigit, self.text)):
            return False
        words = _WORD.findall(self.text.casefold())
        # An item of a list does not end like a sentence.
        is_nod = self.text.endswith((".", "!")) and (len(words) <= 1 or " ".join(words) in _NODS)
        return is_nod or self.text.endswith((":", "?"))

    def with_passages(self, passages: tuple[int, ...]) -> "Claim":
        """The claim with *passages* where it names none, unless it only leads up to what does."""
        return self if self.cited or self.leads_up else replace(self, cited=passages)


def split_claims(answer: str) -> list[Claim]:
    """The sentences of *answer* in order; list items and rows of tables are sentences of their own."""
    claims: list[Claim] = []
    paragraph: list[Claim] = []
    at, is_apart, after_item = 0, False, False
    for line in answer.split("\n"):
        if not line.strip():
            is_apart = True
        else:
            is_item = bool(_ITEM.match(line.lstrip()))
            if is_apart and not (is_item and after_item):  # a list may have blank lines between its items
                claims += _inherit_marks(paragraph)
                paragraph = []
            is_apart, after_item = False, is_item
            if not _HEADING.match(line.lstrip()) and not _RULE.fullmatch(line):
                paragraph += _iter_sentences(line, at)
        at += len(line) + 1
    return [*claims, *_inherit_marks(paragraph)]


def _iter_sentences(line: str, offset: int) -> Iterator[Claim]:
    bullet = _BULLET.match(line)
    start = bullet.end() if bullet else 0
    for end in _END.finditer(line):
        if end.end() > start and _ends_sentence(line, end):
            yield _claim(line, start, end.end(), offset)
            start = _skip_space(line, end.end())
    if line[start:].strip():
        yield _claim(line, start, len(line.rstrip()), offset)


def _ends_sentence(line: str, end: re.Match[str]) -> bool:
    after = _skip_space(line, end.end())
    if after == len(line):
        return True
    if not _NEXT.match(line, after):
        return False
    has_marks, stop = "[" in end[0], end[0].lstrip()[:1]
    return has_marks or stop != "." or not is_abbreviated(line[max(0, end.start() - 40) : end.start()])


def _skip_space(line: str, index: int) -> int:
    """Where the white space ends that begins at a place, maybe there."""
    space = _SPACE.match(line, index)
    return space.end() if space else index


def _claim(line: str, start: int, end: int, offset: int) -> Claim:
    piece = line[start:end]
    cited = tuple(dict.fromkeys(int(n) for mark in _MARKS.findall(piece) for n in re.findall(r"\d+", mark)))
    text = _SPACE.sub(" ", _DECORATION.sub("", _MARKS.sub("", piece))).strip(" |")
    text = text[:_LONGEST].removeprefix("…").removesuffix("…").strip()
    return Claim(offset + start, offset + end, remove_references(text), cited, text)


def _inherit_marks(paragraph: Sequence[Claim]) -> list[Claim]:
    """The claims of a paragraph, those without marks with the next ones that come, else the ones before.

    A "Yes." and what only leads up to the next have none: the next one says what can be checked.
    """
    claims: list[Claim] = []
    following: tuple[int, ...] = ()
    for claim in reversed(paragraph):
        following = claim.cited or following
        claims.append(claim.with_passages(following))
    before: tuple[int, ...] = ()
    settled = []
    for claim in reversed(claims):
        before = claim.cited or before
        settled.append(claim.with_passages(before))
    return settled
