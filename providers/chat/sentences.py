"""Text to sentences: the units that are quoted, each exactly as it stands in the document."""

import re
from collections.abc import Iterator, Sequence
from itertools import groupby, islice
from typing import NamedTuple

# A full stop after one of these ends no sentence, in any of the three languages we serve.
_ABBREVIATION = re.compile(
    r"(?:al|approx|art|avda?|bpk|ca|cf|corp|dra?|drs|ej|etc|fig|gral|hal|hj|hlm|inc|ing|ir|jln?|jr|kh|ltd|mrs?|ms|nos?"
    r"|núm|pág|págs|pp|prof|sdr|sra?|srta|sta?|sto|tel|telp|tgl|tlp|uds?|vols?|vs|(?:[^\W\d]\.)+[^\W\d])",
    re.IGNORECASE,
)
# Terminal punctuation, closing quotes, and the document's own reference marks ("… in 1920.[3]"). A row of dots is
# tried once, from its first one.
_END = re.compile(r"(?:(?<![.!?…])[.!?…]++[\"'”’»)\]]*+(?:\[[^\]\n]{1,12}+\])*+(?=\s|$))|[。！？؟।]++")
_NEXT_SENTENCE = re.compile(r"[\"'“‘«(\[¿¡*_]{0,10}+[^\W_a-zß-öø-ÿ]")
_HEADING = re.compile(r"\A#{1,6}[ \t]+")
_ITEM = re.compile(r"(?:[-*•‣–+>][ \t]+|\d{1,3}[.)][ \t]+)+")
_RULE = re.compile(r"[\s|:=_*-]*")
_LONGEST_HEADING = 80
MOST_SENTENCES = 500  # of a text, which is a passage
_LONGEST_LEAD = 1000  # characters: it is said again with each of the sentences under it
_CONTEXT_CHARS = 40  # that are looked at on both sides of a full stop


class Sentence(NamedTuple):
    """A piece of a text that can be quoted.

    *lead* is what it stands under: a heading, or a line that ends with a colon. *head* is the first row of its table,
    when that names the columns.
    """

    text: str
    lead: str = ""
    head: str = ""


def split_sentences(text: str) -> list[Sentence]:
    """The sentences of *text* in order, headings left out: full stops end them, semicolons do not.

    List items and table rows count as sentences of their own, without their bullets and outer bars. A text of headings
    alone gives the headings. What comes after the first `MOST_SENTENCES` is left out.
    """
    blocks = [block for block in _blocks(text) if not _RULE.fullmatch(block)]
    return list(islice(_sentences(blocks), MOST_SENTENCES)) or [
        Sentence(_HEADING.sub("", block).strip()) for block in blocks
    ]


def sentence_spans(text: str) -> Iterator[tuple[int, int]]:
    """Where the sentences of *text* begin and end, headings among them."""
    at = 0
    for block in _blocks(text):
        for sentence in _split_block(block):
            at = text.index(sentence, at)
            yield at, at + len(sentence)
            at += len(sentence)


def _blocks(text: str) -> Iterator[str]:
    """Paragraphs, headings, list items and table rows; a paragraph keeps the line breaks inside it."""
    lines: list[str] = []
    for line in text.split("\n"):
        bare = line.strip()
        if lines and (
            not bare or _HEADING.match(bare) or _ITEM.match(bare) or _is_row(bare) or _is_whole(lines[-1].strip())
        ):
            yield "\n".join(lines).strip()
            lines = []
        if bare:
            lines.append(line)
    yield "\n".join(lines).strip()


def _is_row(line: str) -> bool:
    return " | " in line or line.startswith("|")


def _is_whole(line: str) -> bool:
    """Whether a block ends with *line*, even if text follows without a blank one."""
    return _is_row(line) or _HEADING.match(line) is not None


def _sentences(blocks: Sequence[str]) -> Iterator[Sentence]:
    heading = lead = ""
    for is_table, run in groupby(range(len(blocks)), lambda i: _is_row(blocks[i])):
        if is_table:
            yield from _rows([blocks[i].strip("|").strip() for i in run], lead)
            continue
        for i in run:
            if _is_heading(blocks, i):
                heading = lead = _HEADING.sub("", blocks[i]).strip()
                continue
            item = _ITEM.match(blocks[i])
            lead = lead if item else heading
            for sentence in _split_block(blocks[i][item.end() if item else 0 :]):
                yield Sentence(sentence, lead)
            if not item and blocks[i].endswith(":"):
                lead = blocks[i][-_LONGEST_LEAD:]


def _rows(rows: list[str], lead: str) -> Iterator[Sentence]:
    """The rows of a table. The first names the columns if it is the one without figures."""
    head, *others = rows
    if others and not _has_digit(head) and any(map(_has_digit, others)):
        yield from (Sentence(row, lead, head if len(head) <= _LONGEST_LEAD else "") for row in others)
    else:
        yield from (Sentence(row, lead) for row in rows)


def _has_digit(text: str) -> bool:
    return any(map(str.isdigit, text))


def _is_heading(blocks: Sequence[str], i: int) -> bool:
    """Whether block *i* is a heading: marked as one, or a short line without an end, with something else below it."""
    if _HEADING.match(blocks[i]):
        return True
    return _looks_like_heading(blocks[i]) and i + 1 < len(blocks) and not _looks_like_heading(blocks[i + 1])


def _looks_like_heading(block: str) -> bool:
    if len(block) > _LONGEST_HEADING or "\n" in block or _ITEM.match(block) or _is_row(block):
        return False
    return block[-1] not in ".!?…:;,。！？؟।"


def _split_block(block: str) -> Iterator[str]:
    start = 0
    for end in _END.finditer(block):
        before = block[max(start, end.start() - _CONTEXT_CHARS) : end.start()]
        if _ends_sentence(before, end[0], block[end.end() : end.end() + _CONTEXT_CHARS].lstrip()):
            yield block[start : end.end()].strip()
            start = end.end()
    if rest := block[start:].strip():
        yield rest


def _ends_sentence(before: str, mark: str, after: str) -> bool:
    if not after or mark[0] in "。！？؟।":
        return True
    if not _NEXT_SENTENCE.match(after):
        return False
    return mark[0] != "." or not is_abbreviated(before)


def is_abbreviated(before: str) -> bool:
    """Whether the full stop after *before* belongs to its last word, like "Dr", "J" or "e.g"."""
    word = re.split(r"[\s(\[\"'“‘«]", before)[-1]
    initial = len(word) == 1 and word.isupper()
    return initial or _ABBREVIATION.fullmatch(word) is not None
