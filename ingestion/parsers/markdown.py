"""Markdown as a reader sees it: without its marks, with its headings."""

import re
from collections.abc import Iterator, Sequence
from itertools import pairwise

from markdown_it import MarkdownIt
from markdown_it.token import Token

from ingestion.parsers.encoding import decode
from ingestion.parsers.html import extract_text
from ingestion.parsers.parsed import DATES, LONGEST_DATE, Limits, ParsedDocument, TextBuilder, join_lines

FRONT_MATTER = re.compile(r"\A---[^\S\n]*\n(.*?\n)(?:---|\.\.\.)[^\S\n]*(?:\n|\Z)", re.DOTALL)
FRONT_TITLE = re.compile(r"^title:[^\S\n]*(?P<quote>['\"]?)(?P<title>.+?)(?P=quote)[^\S\n]*$", re.MULTILINE)
FRONT_DATES = re.compile(
    rf"^(?P<name>{'|'.join(DATES)}):[^\S\n]*(?P<quote>['\"]?)(?P<value>[-\d.]{{1,{LONGEST_DATE}}})(?P=quote)[^\S\n]*$",
    re.MULTILINE,
)
ATTRIBUTES = re.compile(r"(?<!\s)\s*+\{[:\s]*+[#.][^{}]*+\}\s*+$")  # of a heading, as several dialects write them
LIST_MARKS = {"bullet_list_open": "-", "ordered_list_open": "1."}


def parse(data: bytes, limits: Limits) -> ParsedDocument:
    """The document; its title is that of the front matter or the first heading of level 1."""
    text, front = _split_front_matter(decode(data))
    title = FRONT_TITLE.search(front)
    dates = {match["name"]: match["value"] for match in FRONT_DATES.finditer(front)}
    limits.check_length(len(text))  # before the time is spent on parsing it
    builder = TextBuilder(limits)
    tokens = MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(text)
    _Reader(builder).read(tokens)
    return builder.build(
        title=title["title"] if title else _find_first_title(tokens), media_type="text/markdown", front_matter=dates
    )


def _split_front_matter(text: str) -> tuple[str, str]:
    """The text below the front matter, and that, "" without one."""
    front = FRONT_MATTER.match(text)
    return (text[front.end() :], front[1]) if front else (text, "")


def _find_first_title(tokens: Sequence[Token]) -> str | None:
    for opening, inline in pairwise(tokens):
        if opening.type == "heading_open" and opening.tag == "h1":
            return ATTRIBUTES.sub("", join_lines(_make_plain(inline)))
    return None


class _Reader:
    """Walks the flat list of tokens; a list with its nested lists, or a table, becomes one block."""

    def __init__(self, builder: TextBuilder) -> None:
        self._builder = builder
        self._lists: list[tuple[str, int]] = []
        self._lines: list[str] = []
        self._cells: list[str] | None = None
        self._fresh_item = False

    def read(self, tokens: Sequence[Token]) -> None:
        for previous, token in zip([None, *tokens], tokens, strict=False):
            if token.type == "inline":
                self._inline(previous, token)
            elif token.type in ("fence", "code_block"):
                self._put(token.content)
            elif token.type == "html_block":
                self._put(extract_text(token.content))
            else:
                self._structure(token)

    def _inline(self, opening: Token | None, token: Token) -> None:
        text = _make_plain(token)
        if opening is not None and opening.type == "heading_open" and not self._lists:
            self._builder.add_heading(int(opening.tag[1]), ATTRIBUTES.sub("", text))
        elif self._cells is not None:
            self._cells.append(join_lines(text))
        else:
            self._put(text)

    def _structure(self, token: Token) -> None:
        if token.type in LIST_MARKS:
            self._lists.append((LIST_MARKS[token.type], int(token.attrGet("start") or 1)))
        elif token.type in ("bullet_list_close", "ordered_list_close"):
            self._lists.pop()
            self._flush()
        elif token.type == "list_item_open":
            self._fresh_item = True
        elif token.type == "tr_open":
            self._cells = []
        elif token.type == "tr_close" and self._cells is not None:
            self._lines.append(" | ".join(self._cells))
            self._cells = None
        elif token.type == "table_close":
            self._flush()

    def _put(self, text: str) -> None:
        if not self._lists:
            self._builder.block(text)
            return
        indent = "  " * (len(self._lists) - 1)
        mark, hanging = (f"{self._make_next_mark()} ", "") if self._fresh_item else ("", "  ")
        self._fresh_item = False
        self._lines.extend(
            f"{indent}{mark if number == 0 else hanging}{line}" for number, line in enumerate(text.strip().split("\n"))
        )

    def _make_next_mark(self) -> str:
        mark, number = self._lists[-1]
        if mark == "-":
            return mark
        self._lists[-1] = (mark, number + 1)
        return f"{number}."

    def _flush(self) -> None:
        if not self._lists:
            self._builder.add_lines(self._lines)
            self._lines = []


def _make_plain(inline: Token) -> str:
    return "".join(_iter_pieces(inline.children or []))


def _iter_pieces(tokens: Sequence[Token]) -> Iterator[str]:
    for token in tokens:
        if token.type in ("text", "code_inline"):
            yield token.content
        elif token.type in ("softbreak", "hardbreak"):
            yield "\n"
        elif token.type == "image":
            yield _make_plain(token) or token.content
        elif token.type == "html_inline" and token.content[:3].lower() == "<br":
            yield "\n"
