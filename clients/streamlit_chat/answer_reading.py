"""An answer read as plain CommonMark, with its marks `[number]` and what is in doubt as nodes of their own."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from markdown_it import MarkdownIt
from markdown_it.rules_inline import StateInline
from markdown_it.token import Token
from markdown_it.tree import SyntaxTreeNode

DOUBT_BEGINS, DOUBT_ENDS = "\ue000", "\ue001"
"""Around what is underlined in an answer; characters that mean nothing in any text."""
DOUBT = re.compile(f"([{DOUBT_BEGINS}{DOUBT_ENDS}])")
_MARK = re.compile(r"\[(\d{1,3})\]")
_MOST_COLUMNS, _MOST_CELLS = 60, 10_000


@dataclass(frozen=True, slots=True)
class Mark:
    """Where a mark `[number]` leads on this page, what it says there, and the number that is shown."""

    anchor: str
    title: str
    shown: int  # in place of its number


def has_small_tables(text: str) -> bool:
    """Whether its tables, if there are any, are drawn quickly: each row of one has as many cells as the widest."""
    lines = text.split("\n")
    columns = max(line.count("|") for line in lines)
    return columns <= _MOST_COLUMNS and columns * len(lines) <= _MOST_CELLS


def read_answer(lines: str, marks: Mapping[int, Mark]) -> SyntaxTreeNode:
    """The answer, without HTML; marks of *marks* are nodes "mark", and words in doubt nodes "doubt"."""
    parser = _PARSER if has_small_tables(lines) else _WITHOUT_TABLES
    tokens = parser.parse(lines, {"marks": marks})
    _find_doubts(tokens)
    return SyntaxTreeNode(tokens)


def _find_doubts(tokens: Iterable[Token]) -> None:
    """Make tokens of their own of what is in doubt in running text."""
    in_doubt = False
    for token in tokens:
        children: list[Token] = []
        for child in token.children or ():
            if child.type != "text":
                children.append(child)
                continue
            for part in DOUBT.split(child.content):
                if part in (DOUBT_BEGINS, DOUBT_ENDS):
                    in_doubt = part == DOUBT_BEGINS
                elif part:
                    children.append(child.copy(type="doubt" if in_doubt else "text", content=part))
        token.children = children or token.children


def _read_mark(state: StateInline, silent: bool) -> bool:
    """A rule of the parser: a mark of which there is a source, whatever the answer makes a link of."""
    found = _MARK.match(state.src, state.pos)
    mark = state.env["marks"].get(int(found[1])) if found else None
    if found is None or mark is None:
        return False
    if not silent:
        token = state.push("mark", "", 0)
        token.content, token.meta = str(mark.shown), {"mark": mark}
    state.pos = found.end()
    return True


def _make_parser(*more: str) -> MarkdownIt:
    # Without definitions of references, the text of a mark cannot be made a link from elsewhere in the answer.
    parser = MarkdownIt("commonmark").disable(["reference", "html_block", "html_inline"]).enable(more)
    parser.inline.ruler.before("link", "mark", _read_mark)
    return parser


_PARSER, _WITHOUT_TABLES = _make_parser("strikethrough", "table"), _make_parser("strikethrough")
