"""The result of every parser: the text of a document, and where its headings and pages begin."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import takewhile
from typing import Literal

from utils.errors import UnreadableDocument
from utils.normal_forms import normalize

Target = Literal["docx", "pptx"]
DATES = ("date", "valid_from", "valid_until", "precedence")  # of what front matter says
LONGEST_DATE = 20  # characters
LONGEST_TITLE = 500  # characters
LONGEST_NOTE, MAX_NOTES = 500, 10
LONGEST_SIDE = 2_600  # pixels of a page that is recognised; A4 at 200 dots an inch has 2,339
LOCKED = "It is protected with a password: save a copy without one."
HEADING_SEPARATOR = " › "
MAX_HEADING_CHARACTERS = 200
MAX_BLANKS = 200  # in a row, with the ends of lines: more than any table or indentation has
_GAP = re.compile(rf"(?<!\s)\s{{{MAX_BLANKS + 1},}}+")
# Control characters, lone surrogates, marks that reorder what is shown, and the invisible "tags" in which instructions
# to a model can be hidden. Soft hyphens and zero-width spaces would break words for search.
UNWANTED = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\xad\u061c\u200b\u2060\ufeff\u202a-\u202e\u2066-\u2069\ufffe\uffff"
    "\ud800-\udfff\U000e0000-\U000e007f]"
)


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits beyond which a file is refused."""

    size_bytes: int = 50_000_000
    characters: int = 5_000_000
    pages: int = 2_000
    unpacked_bytes: int = 40_000_000  # of the XML in a DOCX, which takes ten times that in memory
    memory_bytes: int = 1_000_000_000
    timeout_s: float = 50.0
    pixels: int = 100_000_000  # of a picture
    recognises: bool = True  # whether text is looked for in pictures, where a recognition is installed
    recognised_pages: int = 1_000
    page_timeout_s: float = 45.0  # to recognise one page

    def check_length(self, characters: int) -> None:
        """Refuse a text of so many *characters*.

        Raises:
            UnreadableDocument: it is longer than the limit.
        """
        if characters > self.characters:
            raise UnreadableDocument(f"It holds more than {self.characters:,} characters of text: split it.")


@dataclass(frozen=True, slots=True)
class Section:
    """A stretch of text under one heading and on one page.

    `heading` is the path of headings, outermost first; `level` that of the innermost, 0 without one. The text is
    `text[body:end]`; between `start` and `body` stands the heading's own line.
    """

    heading: tuple[str, ...]
    level: int
    page: int | None
    start: int
    body: int
    end: int


@dataclass(frozen=True, slots=True)
class PageFacts:
    """What a web page says of itself besides its text, unchecked."""

    links: tuple[str, ...] = ()
    base: str | None = None  # what links are relative to, instead of the page's own address
    canonical: str | None = None
    robots: str = ""  # in lower case: "noindex, nofollow"
    published: str | None = None  # a day: "2026-11-22"
    language: str | None = None


@dataclass(frozen=True, slots=True)
class ParsedDocument:
    """A document's text; `sections` are in reading order and hold all of it but headings with text below them.

    `unread_pages`, counted from 1, are pictures of text that nobody has recognised yet; without them it may be empty.
    `garbled_pages` are those of them that have text, but not the one they show.
    """

    text: str
    sections: tuple[Section, ...]
    title: str | None
    media_type: str
    url: str | None = None
    pages: int | None = None
    unread_pages: tuple[int, ...] = ()
    garbled_pages: tuple[int, ...] = ()
    facts: PageFacts | None = None
    notes: tuple[str, ...] = ()  # what was left out and why, in sentences
    front_matter: dict[str, str] = field(default_factory=dict)  # what it says of its dates, as it stands there


class OldFormat(UnreadableDocument):
    """The file must be converted to *target* before it is read; no parser does that itself."""

    def __init__(self, target: Target) -> None:
        super().__init__(f"It is of an old format: save it as {target.upper()}.")
        self.target = target


def clean(text: str) -> str:
    """*text* in composed Unicode, with `\\n` line ends, without characters that do not belong into text.

    Of more than `MAX_BLANKS` characters of white space in a row an empty line and an indentation are left.
    """
    plain = UNWANTED.sub("", normalize("NFC", text.replace("\r\n", "\n").replace("\r", "\n")))
    return _GAP.sub(_shorten_gap, plain)


def _shorten_gap(gap: re.Match[str]) -> str:
    lines = gap[0].split("\n")
    return "\n" * min(2, len(lines) - 1) + lines[-1][:MAX_BLANKS] if len(lines) > 1 else " "


def join_lines(text: str) -> str:
    """*text* with every run of white space as one space."""
    return " ".join(text.split())


@dataclass(slots=True)
class TextBuilder:
    """Collects a document block by block, cleaned, and keeps count of where everything stands."""

    limits: Limits
    _parts: list[str] = field(default_factory=list)
    _length: int = 0
    _path: list[tuple[int, str]] = field(default_factory=list)
    _page: int | None = None
    _sections: list[Section] = field(default_factory=list)
    _heading_start: int | None = None
    _section_start: int | None = None
    _section_body: int = 0
    _unread: list[int] = field(default_factory=list)
    _garbled: list[int] = field(default_factory=list)
    _notes: list[str] = field(default_factory=list)

    def block(self, text: str) -> None:
        """A paragraph, list item, table or the like; empty ones are passed over."""
        text = clean(text).strip("\n").rstrip()
        if not text.strip():
            return
        start = self._append(text)
        if self._section_start is None:
            self._section_start = start if self._heading_start is None else self._heading_start
            self._section_body = start
            self._heading_start = None

    def add_lines(self, lines: Iterable[str]) -> None:
        """One block of several lines."""
        self.block("\n".join(lines))

    def add_heading(self, level: int, text: str) -> None:
        """A heading; *level* counts from 1."""
        text = join_lines(clean(text))
        if not text:
            return
        self._close_section(deeper=bool(self._path) and level > self._path[-1][0])
        self._path = [entry for entry in self._path if entry[0] < level]
        self._path.append((level, text[:MAX_HEADING_CHARACTERS]))
        self._heading_start = self._append(text)

    def begin_page(self, number: int) -> None:
        """The page from here on, counted from 1."""
        self._close_section(deeper=False)
        self._page = number

    def unread(self, number: int) -> None:
        """Page *number* is a picture whose text has not been recognised."""
        self._unread.append(number)

    def mark_garbled(self, number: int) -> None:
        """Page *number* has other letters than it shows, and what it shows has not been recognised."""
        self._unread.append(number)
        self._garbled.append(number)

    def note(self, text: str) -> None:
        """Something was left out; *text* says what and why, in a sentence. Of more than a few, the first are kept."""
        if len(self._notes) < MAX_NOTES:
            self._notes.append(clean(text)[:LONGEST_NOTE])

    def leave(self, level: int) -> None:
        """End the section of the last heading of *level*, and those of deeper ones."""
        if any(entry >= level for entry, _ in self._path):
            self._close_section(deeper=False)
            self._path = [entry for entry in self._path if entry[0] < level]

    def include(self, document: ParsedDocument, level: int) -> None:
        """Another document's text; its headings of level 1 become headings of *level*."""
        former: tuple[str, ...] = ()
        for section in document.sections:
            same = sum(takewhile(bool, (one == other for one, other in zip(former, section.heading, strict=False))))
            self.leave(level + same)
            for depth, text in enumerate(section.heading[same:], level + same):
                self.add_heading(depth, text)
            text = document.text[section.body : section.end]
            if section.heading[same:][-1:] != (text,):  # a heading with nothing below it is its own text
                self.block(text)
            former = section.heading

    @property
    def length(self) -> int:
        """Characters so far."""
        return self._length

    def build(
        self,
        *,
        title: str | None,
        media_type: str,
        url: str | None = None,
        front_matter: dict[str, str] | None = None,
    ) -> ParsedDocument:
        """The document.

        Raises:
            UnreadableDocument: there is no text in it, nor a picture that may hold some.
        """
        self._close_section(deeper=False)
        if not self._sections and not self._unread:
            raise UnreadableDocument("There is no text in it.")
        cleaned = join_lines(clean(title or ""))[:LONGEST_TITLE] or None
        return ParsedDocument(
            "".join(self._parts),
            tuple(self._sections),
            cleaned,
            media_type,
            url,
            pages=self._page,
            unread_pages=tuple(self._unread),
            garbled_pages=tuple(self._garbled),
            notes=tuple(self._notes),
            front_matter=front_matter or {},
        )

    def find_first_heading(self) -> str | None:
        """The first heading so far, if there is one."""
        return next((section.heading[0] for section in self._sections if section.heading), None)

    def _append(self, text: str) -> int:
        if self._parts:
            self._parts.append("\n\n")
            self._length += 2
        start = self._length
        self._parts.append(text)
        self._length += len(text)
        self.limits.check_length(self._length)
        return start

    def _close_section(self, *, deeper: bool) -> None:
        """End the open section. A heading with nothing under it, not even a deeper one, is text itself."""
        start, body = self._section_start, self._section_body
        if start is None and self._heading_start is not None and not deeper:
            start = body = self._heading_start
        if start is not None:
            heading = tuple(text for _, text in self._path)
            level = self._path[-1][0] if self._path else 0
            self._sections.append(Section(heading, level, self._page, start, body, self._length))
        self._section_start = self._heading_start = None
