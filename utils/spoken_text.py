"""What of an answer is read aloud: its words, without marks of sources and of Markdown."""

import re

from markdown_it import MarkdownIt
from markdown_it.token import Token

LONGEST_SPOKEN = 4_000  # characters: OpenAI's endpoint takes 4,096; some four minutes
_MARK = re.compile(r"\s?\[\d{1,3}(?:, ?\d{1,3}){0,9}\]")
_SENTENCE_END = re.compile(r"[.!?…。！？](?=\s)")
_PAUSED = re.compile(r"[.!?:…。！？؟।][\"'”’»)\]*_]*\Z")
_PARSER = MarkdownIt("commonmark", {"html": False}).enable("table")
_PAUSES = {"inline", "fence", "code_block"}


def make_spoken_text(answer: str) -> str:
    """The words of *answer*, which is Markdown."""
    blocks = [_read(token).strip() for token in _PARSER.parse(_MARK.sub("", answer)) if token.type in _PAUSES]
    return "\n".join(block if _PAUSED.search(block) else f"{block}." for block in blocks if block)


def cut_spoken_text(text: str) -> str:
    """What of *text* is spoken: all of it, or whole sentences of at most `LONGEST_SPOKEN` characters."""
    if len(text) <= LONGEST_SPOKEN:
        return text
    ends = [match.end() for match in _SENTENCE_END.finditer(text, 0, LONGEST_SPOKEN)]
    return text[: ends[-1] if ends else LONGEST_SPOKEN]


def make_spoken_line(text: str) -> str:
    """The words of *text*, a part of a line: what begins it is no mark of a list."""
    return "".join(_read(token) for token in _PARSER.parseInline(_MARK.sub("", text))).strip()


def _read(token: Token) -> str:
    if token.children is None:
        return token.content
    return "".join(" " if child.type.endswith("break") else child.content for child in token.children)
