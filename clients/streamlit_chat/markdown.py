"""Texts of documents and models made safe and faithful for Streamlit's Markdown."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from markdown_it import MarkdownIt

_SPAN = re.compile(r"(?<![`\\])(`+)(?!`)(?:(?!\n[ \t]*\n).)+?(?<!`)\1(?!`)", re.DOTALL)
_DOLLAR = re.compile(r"\\?\$")
_DIRECTIVE = re.compile(r":(?=[A-Za-z][\w-]*\[)")
_MARK = re.compile(r"(?<!\\)\[(\d{1,3})\](?P<link>\()?")
_PUNCTUATION = re.compile(r"([\\`*_{}\[\]()<>#+\-.!|~$:=^&])")


@dataclass(frozen=True, slots=True)
class Mark:
    """Where a mark `[number]` leads on this page, and what it says there."""

    anchor: str
    title: str


def answer_markdown(text: str, marks: Mapping[int, Mark] | None = None) -> str:
    """An answer with its Markdown, but without images, formulas and Streamlit's own directives.

    Marks `[number]` of *marks* become links within the page, others stay as they are, and so does code.
    An image would be fetched by the reader's browser as soon as it is drawn, from an address that a document may have
    put in the model's mouth. Between two prices, `$` would begin a formula; `:red[1]` would swallow a citation's mark.
    """
    # Also within code, where it shows as well: what is code here need not be code to the browser's parser.
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("![", "!\u200b[")
    known = marks or {}
    return "".join(piece if is_code else _prose(piece, known) for is_code, piece in _pieces(text))


def plain_markdown(text: str) -> str:
    """Markdown that shows *text* as it is, on one line."""
    return _PUNCTUATION.sub(r"\\\1", " ".join(text.split()))


def _prose(text: str, marks: Mapping[int, Mark]) -> str:
    text = _DOLLAR.sub(lambda _: r"\$", text)
    text = _DIRECTIVE.sub(r"\\:", text)
    return _MARK.sub(lambda found: _linked(found, marks), text)


def _linked(found: re.Match[str], marks: Mapping[int, Mark]) -> str:
    """The mark as a link; one without a citation as text, which no definition in the answer makes a link."""
    mark = marks.get(int(found[1]))
    if mark is None:
        return found[0] if found["link"] else rf"\[{found[1]}\]"
    title = plain_markdown(mark.title).replace('"', "'")
    # A link that the answer has made of the mark itself loses to ours: its address shows as text.
    return rf'[\[{found[1]}\]](#{mark.anchor} "{title}"){found["link"] or ""}'


def _pieces(text: str) -> Iterator[tuple[bool, str]]:
    """*text* in pieces, each with whether it is code."""
    lines, done = text.split("\n"), 0
    for first, end in [*_code_blocks(text), (len(lines), len(lines))]:
        yield from _spans("".join(f"{line}\n" for line in lines[done:first])[: None if first < len(lines) else -1])
        if first < end:
            yield True, "\n".join(lines[first:end]) + ("\n" if end < len(lines) else "")
        done = end


def _code_blocks(text: str) -> Iterator[tuple[int, int]]:
    """The lines of fenced and indented code, from the first to after the last."""
    for token in MarkdownIt("commonmark").disable("inline").parse(text):
        if token.type in ("fence", "code_block") and token.map:
            yield token.map[0], token.map[1]


def _spans(text: str) -> Iterator[tuple[bool, str]]:
    done = 0
    for span in _SPAN.finditer(text):
        yield False, text[done : span.start()]
        yield True, span[0]
        done = span.end()
    yield False, text[done:]
