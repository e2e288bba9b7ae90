"""Texts of documents, models and visitors made safe for Streamlit's Markdown.

Streamlit draws much more than Markdown: diagrams (which load images from anywhere), formulas, icons, emoji, coloured
text, footnotes. So nothing of a text is handed on as it is. `answer_markdown` reads an answer as plain CommonMark and
rewrites it with the few constructs below, with every character of its words escaped; what is not among them shows
as the text it is. Whatever a later Streamlit may add, an answer cannot say it.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NewType
from urllib.parse import quote, urlsplit

from markdown_it.tree import SyntaxTreeNode

from clients.streamlit_chat.answer_reading import DOUBT, Mark, read_answer

Markdown = NewType("Markdown", str)
"""A text that may be handed to Streamlit as Markdown; made in this module alone."""

_PUNCTUATION = re.compile(r"([\\`*_{}\[\]()<>#+\-.!|~$:=^&])")
_BLANKS = re.compile(r"[ \t\n\r\f\v]+")
# Also what reorders the text after it, to the end of the paragraph.
_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1f\x7f\u202a-\u202e\u2066-\u2069\ue000\ue001]")
# `:smile:`, `:material/home:`, `:streamlit:` are found in the text after escapes have been read, so a character that
# does not show keeps them apart. A time such as 10:30:45 is none; two numbers are emoji.
_SHORTCODE = re.compile(r":(?=(material/\w++|[\w+-]++):)")
_NUMBERS_DRAWN = ("100", "1234")
_NO_BREAK = "\u2060"
_DOUBT_ENCODED = re.compile("%EE%80%8[01]")
_LINKS = ("http", "https", "mailto", "tel")
_SAFE_IN_LINKS = "~!*',;/?:@&=+#%"
# What the words after a fence may be. Streamlit draws a diagram for one word, and may for others some day.
_LANGUAGES = """
bash c cpp csharp css csv diff go html ini java javascript json kotlin latex markdown php python r ruby rust sh shell
sql swift text toml typescript xml yaml
"""
LANGUAGES = frozenset(_LANGUAGES.split())
_LONGEST_FORMATTED = 12_000  # characters; what is longer takes the page too long to read, and shows as plain text


def answer_markdown(text: str, marks: Mapping[int, Mark] | None = None) -> Markdown:
    """An answer with its headings, lists, tables, emphasis, code and links, and nothing else of Streamlit's Markdown.

    Marks `[number]` of *marks* become links within the page, others stay as they are, and so does code. Links lead to
    pages, addresses of e-mail and telephone numbers; an image becomes a link to it. What stands between `DOUBT_BEGINS`
    and `DOUBT_ENDS` is underlined.
    """
    lines = text.replace("\r\n", "\n").replace("\r", "\n")
    if len(lines) > _LONGEST_FORMATTED:
        return Markdown("\\\n".join(_escape(line.strip()) for line in lines.split("\n")))
    return Markdown("\n".join(_render_blocks(read_answer(lines, marks or {}).children)))


def escape_markdown(text: str) -> Markdown:
    """Markdown that shows *text* as it is, on one line."""
    return Markdown(_escape(text.strip()))


def make_bullet_list(texts: Iterable[str]) -> Markdown:
    """A list that shows each of *texts* as it is."""
    return Markdown("\n".join(f"- {escape_markdown(text)}" for text in texts))


def _escape(text: str) -> str:
    """The words of *text*, on one line, with nothing in them that is read as more than words."""
    words = _BLANKS.sub(" ", _CONTROL.sub("", text))
    return _PUNCTUATION.sub(r"\\\1", _SHORTCODE.sub(_keep_apart, words))


def _keep_apart(colon: re.Match[str]) -> str:
    is_time = colon[1].isdecimal() and colon[1] not in _NUMBERS_DRAWN
    return ":" if is_time else f":{_NO_BREAK}"


def _render_blocks(nodes: Iterable[SyntaxTreeNode]) -> list[str]:
    """The lines of *nodes*, with an empty one between two of them where they would not be told apart otherwise."""
    lines: list[str] = []
    before: SyntaxTreeNode | None = None
    for node in nodes:
        if before is not None and not _may_touch(before, node):
            lines.append("")
        lines += _block(node)
        before = node
    return lines


def _may_touch(before: SyntaxTreeNode, node: SyntaxTreeNode) -> bool:
    """Whether a list stays a tight one: only its items' first paragraphs and the lists in them are drawn close."""
    is_list = node.type == "bullet_list" or (node.type == "ordered_list" and _number(node, 0) == 1)
    return before.type == "paragraph" and before.hidden and is_list


def _block(node: SyntaxTreeNode) -> list[str]:
    match node.type:
        case "heading":
            return [f"{node.markup if node.markup.startswith('#') else '#' * int(node.tag[1:])} {_render_line(node)}"]
        case "blockquote":
            return [f"> {line}" if line else ">" for line in _render_blocks(node.children)]
        case "bullet_list" | "ordered_list":
            return list(_render_items(node))
        case "fence" | "code_block":
            return _render_code_block(DOUBT.sub("", node.content), node.info)
        case "hr":
            return ["***"]
        case "table":
            return list(_render_rows(node))
        case _:
            return _render_inline(node.children).split("\n")


def _render_items(listed: SyntaxTreeNode) -> Iterator[str]:
    is_tight = all(block.hidden for item in listed.children for block in item.children if block.type == "paragraph")
    for place, item in enumerate(listed.children):
        if place and not is_tight:
            yield ""
        mark = item.markup if listed.type == "bullet_list" else f"{_number(listed, place)}{item.markup}"
        first, *rest = _render_blocks(item.children) or [""]
        yield f"{mark} {first}"
        yield from (f"{' ' * (len(mark) + 1)}{line}" if line else "" for line in rest)


def _number(listed: SyntaxTreeNode, place: int) -> int:
    return min(int(listed.attrs.get("start", 1)) + place, 999_999_999)


def _render_code_block(code: str, info: str) -> list[str]:
    """A block of code that nothing in the code ends."""
    language = info.strip().lower()
    fence = "`" * max(3, _find_longest_run(code) + 1)
    return [f"{fence}{language if language in LANGUAGES else ''}", *code.removesuffix("\n").split("\n"), fence]


def _render_rows(table: SyntaxTreeNode) -> Iterator[str]:
    for part in table.children:
        for row in part.children:
            yield f"| {' | '.join(_render_line(cell, in_table=True) for cell in row.children)} |"
            if part.type == "thead":
                yield f"|{'|'.join(_render_alignment(cell) for cell in row.children)}|"


def _render_alignment(cell: SyntaxTreeNode) -> str:
    side = str(cell.attrs.get("style", "")).removeprefix("text-align:")
    return {"left": ":---", "center": ":---:", "right": "---:"}.get(side, "---")


def _render_line(node: SyntaxTreeNode, *, in_table: bool = False) -> str:
    """What stands in a heading or a cell, which have one line."""
    return _render_inline(node.children, in_table=in_table).replace("\\\n", " ").replace("\n", " ").strip(" ")


def _render_inline(
    nodes: Sequence[SyntaxTreeNode], *, in_table: bool = False, within: frozenset[str] = frozenset()
) -> str:
    """The words of *nodes*; *within* are the kinds of nodes around them."""
    written = ""
    for node in nodes:
        piece = _render_piece(node, in_table, within)
        # Two runs of backticks that touch would be one, of another length, and end nowhere or too early.
        written += f"{_NO_BREAK}{piece}" if written.endswith("`") and piece.startswith("`") else piece
    return written


def _render_piece(node: SyntaxTreeNode, in_table: bool, within: frozenset[str]) -> str:
    match node.type:
        case "inline":
            return _render_inline(node.children, in_table=in_table, within=within).strip(" ")
        case "softbreak":
            return "\n"
        case "hardbreak":
            return "\\\n"
        case "code_inline":
            return _render_code(node.content, in_table)
        case "mark":
            return _render_mark(node, within)
        case "doubt":
            return _escape(node.content) if "link" in within else _render_doubt(node.content)
        case "link" | "image":
            return _link(node, in_table, within)
        case "em" | "strong" | "s":
            return _emphasise(node, in_table, within)
        case _:
            return _escape(node.content)


def _render_code(code: str, in_table: bool) -> str:
    """Code in a line. In a table a `|` would cut it in two, and what follows would be code no more."""
    code = _BLANKS.sub(" ", DOUBT.sub("", code))
    if in_table and ("|" in code or "\\" in code):
        return _escape(code)
    ticks, padding = "`" * (_find_longest_run(code) + 1), " " if code.strip("` ") != code else ""
    return f"{ticks}{padding}{code}{padding}{ticks}"


def _find_longest_run(code: str) -> int:
    return max((len(run) for run in re.findall("`+", code)), default=0)


def _render_mark(node: SyntaxTreeNode, within: frozenset[str]) -> str:
    shown = rf"\[{node.content}\]"
    mark: Mark = node.meta["mark"]
    if "link" in within:
        return shown
    title = _escape(mark.title.strip()).replace('"', "'")
    return f'[{shown}](#{mark.anchor} "{title}")'


def _render_doubt(text: str) -> str:
    """Coloured, which page.css turns into an underline; a directive must not begin or end with a blank."""
    words = text.strip(" ")
    if not words:
        return text
    before, after = text[: len(text) - len(text.lstrip(" "))], text[len(text.rstrip(" ")) :]
    return f"{before}:orange[{_escape(words)}]{after}"


def _link(node: SyntaxTreeNode, in_table: bool, within: frozenset[str]) -> str:
    address = _DOUBT_ENCODED.sub("", str(node.attrs.get("src" if node.type == "image" else "href", "")))
    inside = _render_inline(node.children, in_table=in_table, within=within | {"link"})
    shown = inside if inside.strip() else _escape(address)
    if "link" in within or not _opens_something(address):
        return shown
    return f"[{shown}](<{quote(address, safe=_SAFE_IN_LINKS)}>)"


def _opens_something(address: str) -> bool:
    try:
        parts = urlsplit(address)
    except ValueError:
        return False
    return parts.scheme in _LINKS and (bool(parts.netloc) or parts.scheme in ("mailto", "tel"))


def _emphasise(node: SyntaxTreeNode, in_table: bool, within: frozenset[str]) -> str:
    inside = _render_inline(node.children, in_table=in_table, within=within | {node.type})
    # Signs around nothing, or twice around the same, could make a fence or a line across.
    if node.type in within or not inside.strip(f" \n{_NO_BREAK}"):
        return inside
    signs = {"em": "*", "strong": "**", "s": "~~"}[node.type]
    return f"{signs}{inside}{signs}"
