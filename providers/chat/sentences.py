"""Text to sentences: the units that are quoted, each exactly as it stands in the document."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Literal, NamedTuple

# A full stop after one of these ends no sentence, in any of the three languages we serve.
_ABBREVIATION = re.compile(
    r"^(?:al|approx|art|avda?|bpk|ca|cf|corp|dra?|drs|ej|etc|fig|gral|hal|hj|hlm|inc|ing|ir|jln?|jr|kh|ltd|mrs?|ms|nos?|nrs?"
    r"|núm|pág|págs|pp|prof|rp|sdr|sra?|srta|sta?|sto|tel|telp|tgl|tlp|uds?|vols?|vs|(?:[^\W\d]\.)+[^\W\d])",
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
MAX_SENTENCES = 500  # of a text, which is a passage
_LONGEST_LEAD = 1000  # characters: it is said again with each of the sentences under it
_CONTEXT_CHARS = 40  # that are looked at on both sides of a full stop


Kind = Literal["paragraph", "list", "table"]


class Sentence(NamedTuple):
    """A piece of a text that can be quoted.

    *lead* is what it stands under: a heading, or a line that ends with a colon. *head* is the first row of its table,
    when that names the columns.
    """

    text: str
    lead: str = ""
    head: str = ""


@dataclass(frozen=True, slots=True)
class Block:
    """What is quoted as a whole where there is room: a paragraph, a list with the line above it, or a table.

    It stands from *start* to *end* in its text; *spans* are where its *sentences* stand. A table's rows are sentences
    without its head, a list's items sentences after the one above them.
    """

    kind: Kind
    start: int
    end: int
    sentences: tuple[Sentence, ...]
    spans: tuple[tuple[int, int], ...]


def split_sentences(text: str) -> list[Sentence]:
    """The sentences of *text* in order, headings left out: full stops end them, semicolons do not.

    List items and table rows count as sentences of their own, without their bullets and outer bars. A text of headings
    alone gives the headings. What comes after the first `MAX_SENTENCES` is left out.
    """
    return [sentence for block in split_blocks(text) for sentence in block.sentences]


def split_blocks(text: str) -> list[Block]:
    """The blocks of *text* in order with their sentences, as `split_sentences` gives them."""
    pieces = [piece for piece in _blocks(text) if not _RULE.fullmatch(piece)]
    found, budget = list[Block](), MAX_SENTENCES
    for block in _join_lists(_structure(text, pieces)):
        found.append(_first_sentences(block, budget))
        budget -= len(found[-1].sentences)
        if budget <= 0:
            return found
    return found or _headings_alone(text, pieces)


def _first_sentences(block: Block, most: int) -> Block:
    if len(block.sentences) <= most:
        return block
    spans = block.spans[:most]
    return replace(block, sentences=block.sentences[:most], spans=spans, end=spans[-1][1])


def _headings_alone(text: str, pieces: Sequence[str]) -> list[Block]:
    at, found = 0, []
    for piece in pieces:
        heading = _HEADING.sub("", piece).strip()
        at = text.index(heading, at)
        span = at, at + len(heading)
        found.append(Block("paragraph", *span, (Sentence(heading),), (span,)))
    return found


def _join_lists(blocks: Iterable[Block]) -> Iterator[Block]:
    """*blocks*, items in a row as one list, with the line above them where that ends with a colon."""
    run: list[Block] = []  # joined at once, when it ends: each with all before it would be a square
    for block in blocks:
        last = run[-1] if run else None
        if last and block.kind == last.kind == "list":
            run.append(block)
        elif last and block.kind == "list" and last.kind == "paragraph" and last.sentences[-1].text.endswith(":"):
            if len(last.sentences) > 1:
                yield replace(last, sentences=last.sentences[:-1], spans=last.spans[:-1], end=last.spans[-2][1])
            above = replace(last, kind="list", sentences=last.sentences[-1:], spans=last.spans[-1:])
            run = [replace(above, start=above.spans[0][0]), block]
        else:
            if run:
                yield _join(run)
            run = [block]
    if run:
        yield _join(run)


def _join(run: Sequence[Block]) -> Block:
    sentences = tuple(sentence for block in run for sentence in block.sentences)
    spans = tuple(span for block in run for span in block.spans)
    return replace(run[0], end=run[-1].end, sentences=sentences, spans=spans)


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


def _structure(text: str, blocks: Sequence[str]) -> Iterator[Block]:
    """A block for each paragraph, item and table of *text*, whose pieces are *blocks*."""
    heading = lead = ""
    at = 0
    for is_table, run in groupby(range(len(blocks)), lambda i: _is_row(blocks[i])):
        if is_table:
            rows = [blocks[i].strip("|").strip() for i in run]
            block = _locate(text, "table", list(_rows(rows, lead)), at, first=rows[0])
            at = block.end
            yield block
            continue
        for i in run:
            if _is_heading(blocks, i):
                heading = lead = _HEADING.sub("", blocks[i]).strip()[:_LONGEST_LEAD]
                continue
            item = _ITEM.match(blocks[i])
            lead = lead if item else heading
            pieces = list(_split_block(blocks[i][item.end() if item else 0 :]))
            if not pieces:
                continue
            sentences = [Sentence(piece, lead) for piece in pieces]
            block = _locate(text, "list" if item else "paragraph", sentences, at, first=blocks[i])
            at = block.end
            yield block
            if not item and blocks[i].endswith(":"):
                lead = blocks[i][-_LONGEST_LEAD:]


def _locate(text: str, kind: Kind, sentences: Sequence[Sentence], at: int, *, first: str) -> Block:
    """A block of *sentences* that begins with *first*, from the place *at* on."""
    start = at = text.index(first, at)
    spans = []
    for sentence in sentences:
        at = text.index(sentence.text, at)
        spans.append((at, at + len(sentence.text)))
        at += len(sentence.text)
    return Block(kind, start, at, tuple(sentences), tuple(spans))


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
