"""Text to sentences: the units that are quoted, each exactly as it stands in the document."""

import re
from collections.abc import Iterator
from typing import NamedTuple

# A full stop after one of these ends no sentence, in any of the three languages we serve.
_ABBREVIATION = re.compile(
    r"(?:al|approx|art|avda?|bpk|ca|cf|corp|dra?|drs|ej|etc|fig|gral|hal|hj|hlm|inc|ing|ir|jln?|jr|kh|ltd|mrs?|ms|nos?"
    r"|núm|pág|págs|pp|prof|sdr|sra?|srta|sta?|sto|tel|telp|tgl|tlp|uds?|vols?|vs|(?:[^\W\d]\.)+[^\W\d])",
    re.IGNORECASE,
)
# Terminal punctuation, closing quotes, and the document's own reference marks ("… in 1920.[3]").
_END = re.compile(r"(?:[.!?…]+[\"'”’»)\]]*(?:\[[^\]\n]{1,12}\])*(?=\s|$))|[。！？؟।]+")
_NEXT_SENTENCE = re.compile(r"[\"'“‘«(\[¿¡*_]*[^\W_a-zß-öø-ÿ]")
_BREAK = re.compile(r"\n[ \t]*\n\s*|\n(?=[ \t]*(?:[-*•‣–+][ \t]|\d{1,3}[.)][ \t]|\||#{1,6}[ \t]|>))|(?<=\|)[ \t]*\n")
_HEADING = re.compile(r"#{1,6}[ \t]+")
_BULLET = re.compile(r"(?:[-*•‣–+>][ \t]+|\d{1,3}[.)][ \t]+)+")
_RULE = re.compile(r"[\s|:=_*-]*")


class Sentence(NamedTuple):
    """A piece of a text that can be quoted; *lead* is the heading, table head or "…:" it stands under."""

    text: str
    lead: str


def split_sentences(text: str) -> list[Sentence]:
    """The sentences of *text* in order, headings left out: full stops end them, semicolons do not.

    List items and table rows count as sentences of their own, without their bullets and outer bars. A text of headings
    alone gives the headings.
    """
    blocks = [line.strip() for block in _BREAK.split(text) for line in _heading_lines(block)]
    found = list(_sentences(blocks))
    return found or [Sentence(_HEADING.sub("", block), "") for block in blocks if not _RULE.fullmatch(block)]


def _heading_lines(block: str) -> Iterator[str]:
    """A Markdown heading ends with its line, even if text follows without a blank one."""
    heading, newline, rest = block.partition("\n")
    if newline and _HEADING.match(heading.lstrip()):
        yield heading
        yield rest
    else:
        yield block


def _sentences(blocks: list[str]) -> Iterator[Sentence]:
    heading = lead = ""
    for block, following in zip(blocks, [*blocks[1:], ""], strict=True):
        if _RULE.fullmatch(block):
            continue
        body = _without_frame(block)
        if _HEADING.match(block):
            heading = lead = _HEADING.sub("", block)
        elif "|" in following and _RULE.fullmatch(following):  # the head of a table
            lead = f"{heading}\n{body}"
        else:
            lead = heading if body == block else lead
            yield from (Sentence(sentence, lead) for sentence in _split_block(body))
            lead = block if body == block and block.endswith(":") else lead


def _without_frame(block: str) -> str:
    """A list item without its bullet, a table row without its outer bars, anything else as it is."""
    if block.startswith("|"):
        return block.strip("| \t")
    bullet = _BULLET.match(block)
    return block[bullet.end() :] if bullet else block


def _split_block(block: str) -> Iterator[str]:
    start = 0
    for end in _END.finditer(block):
        if _ends_sentence(block[start : end.start()], end[0], block[end.end() :].lstrip()):
            yield block[start : end.end()].strip()
            start = end.end()
    if rest := block[start:].strip():
        yield rest


def _ends_sentence(before: str, mark: str, after: str) -> bool:
    if not after or mark[0] in "。！？؟।":
        return True
    if not _NEXT_SENTENCE.match(after):
        return False
    return mark[0] != "." or not _is_abbreviated(before)


def _is_abbreviated(before: str) -> bool:
    """Whether the full stop after *before* belongs to its last word, like "Dr", "J" or "e.g"."""
    word = re.split(r"[\s(\[\"'“‘«]", before)[-1]
    initial = len(word) == 1 and word.isupper()
    return initial or _ABBREVIATION.fullmatch(word) is not None
