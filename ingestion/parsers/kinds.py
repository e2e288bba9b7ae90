"""The parser for a file: by its name, and checked by its content.

Parsers are imported with the first file of their kind, so that the service itself never loads one.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import PurePath
from typing import Any

from ingestion.parsers.encoding import UNKNOWN_ENCODING, is_declared_by_itself
from ingestion.parsers.garbled import is_garbled
from ingestion.parsers.parsed import LOCKED, Limits, ParsedDocument
from ingestion.parsers.sniffing import Content, detect_content
from utils.errors import UnreadableDocument
from utils.ports import Picture


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of file: the module that reads it, and what its bytes may look like."""

    module: str
    contents: tuple[Content, ...]
    has_pictures: bool = False  # of pages, whose text can be recognised
    imports: tuple[str, ...] = ()  # modules that the module imports with some files of its kind alone

    @property
    def parser(self) -> str:
        """The full name of its module."""
        return f"ingestion.parsers.{self.module}"

    @property
    def is_text(self) -> bool:
        """Whether its files are text, in whatever encoding."""
        return self.contents == TEXT


_BLANK_BYTES = 64
# From where a run begins, so that each byte is looked at once; NUL bytes, as UTF-16 has them in between.
_LONG_BLANK = re.compile(rb"(?<![\x00\t-\r ])[\x00\t-\r ]{1024,}+")
TEXT: tuple[Content, ...] = ("text", "a web page")
OFFICE: tuple[Content, ...] = ("a Word document", "a presentation", "a spreadsheet")
_ATTACHED = ("ingestion.parsers.pdf", "ingestion.parsers.docx")
_OLD = Kind("old_office", ("an old Office document", "rich text", *TEXT, *OFFICE))
KINDS: Mapping[str, Kind] = {
    **dict.fromkeys((".md", ".markdown"), Kind("markdown", TEXT)),
    **dict.fromkeys((".txt", ".text"), Kind("text", TEXT)),
    **dict.fromkeys((".html", ".htm", ".xhtml"), Kind("html", TEXT)),
    ".pdf": Kind("pdf", ("a PDF",), has_pictures=True, imports=("ingestion.parsers.pdf_tables",)),
    # Templates, and files with macros, which are passed over, are read as the plain format.
    **dict.fromkeys((".docx", ".docm", ".dotx", ".dotm"), Kind("docx", ("a Word document",))),
    **dict.fromkeys((".pptx", ".pptm", ".ppsx", ".ppsm", ".potx", ".potm"), Kind("pptx", ("a presentation",))),
    **dict.fromkeys((".xlsx", ".xlsm", ".xltx", ".xltm"), Kind("xlsx", ("a spreadsheet",))),
    **dict.fromkeys((".odt", ".ott", ".ods", ".ots", ".odp", ".otp"), Kind("odf", ("an OpenDocument file",))),
    **dict.fromkeys((".doc", ".dot", ".rtf", ".xls", ".xlt", ".ppt", ".pps", ".pot"), _OLD),
    **dict.fromkeys((".csv", ".tsv"), Kind("delimited", TEXT)),
    **dict.fromkeys((".json", ".jsonl"), Kind("structured", TEXT)),
    ".eml": Kind("mail", TEXT, imports=_ATTACHED),
    ".msg": Kind("outlook", ("an Outlook message",), imports=_ATTACHED),
    ".epub": Kind("epub", ("an e-book",)),
    **dict.fromkeys((".vtt", ".srt"), Kind("subtitles", TEXT)),
    **dict.fromkeys(
        (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".webp"), Kind("image", ("a picture",), has_pictures=True)
    ),
}
PAGE_SUFFIX = ".webpage"  # of no file: what a crawler calls a page, whatever its address ends with
_ALL = {**KINDS, PAGE_SUFFIX: Kind("webpage", TEXT, imports=("trafilatura",))}


def is_known(name: str) -> bool:
    """Whether there is a parser for files of this name."""
    return _get_suffix(name) in KINDS


def is_old(name: str) -> bool:
    """Whether files of this name may have to be converted before they are read."""
    return KINDS.get(_get_suffix(name)) is _OLD


def list_modules(name: str) -> tuple[str, ...]:
    """The modules that reading a file of this name imports, first the one that every such file needs."""
    kind = _ALL.get(_get_suffix(name))
    return (kind.parser, *kind.imports) if kind else ()


def parse(data: bytes, name: str, limits: Limits, recognised: Mapping[int, str] | None = None) -> ParsedDocument:
    """The document in *data*, which was found under *name*; *recognised* is the text of pages that are pictures.

    Raises:
        UnreadableDocument: in plain words, with what to do about it.
    """
    kind = _check_kind(data, name, limits)
    if kind.is_text:
        data = shorten_blanks(data)
    module: Any = import_module(kind.parser)
    parsed = module.parse(data, limits, recognised or {}) if kind.has_pictures else module.parse(data, limits)
    if not isinstance(parsed, ParsedDocument):
        raise TypeError(f"{kind.parser} gave no document.")
    if kind.is_text and not is_declared_by_itself(data) and is_garbled(parsed.text):
        raise UnreadableDocument(UNKNOWN_ENCODING)
    return parsed


def shorten_blanks(data: bytes) -> bytes:
    """*data* with each very long run of white space cut short, by a multiple of four bytes, so that UTF-16 and UTF-32
    stay what they are.

    Nobody means 45 MB of empty lines, and parsers take a minute for them.
    """
    return _LONG_BLANK.sub(lambda run: run[0][: _BLANK_BYTES + len(run[0]) % 4], data)


def iter_pictures(data: bytes, name: str, limits: Limits, pages: Sequence[int]) -> Iterator[Picture]:
    """The given pages of the document as pictures, one after the other; none of a kind that has no pages.

    Raises:
        UnreadableDocument: as `parse`.
    """
    kind = _check_kind(data, name, limits)
    if kind.has_pictures:
        module: Any = import_module(kind.parser)
        yield from module.iter_pictures(data, limits, pages)


def _check_kind(data: bytes, name: str, limits: Limits) -> Kind:
    """The kind of the file, after its size and content were checked."""
    suffix = _get_suffix(name)
    if not data:
        raise UnreadableDocument("It is empty.")
    if len(data) > limits.size_bytes:
        raise UnreadableDocument(f"It is larger than {limits.size_bytes / 1e6:g} MB: split it.")
    if suffix not in _ALL:
        raise UnreadableDocument(f"Files of this kind are not read; those that are: {', '.join(KINDS)}.")
    kind, content = _ALL[suffix], detect_content(data)
    if content not in kind.contents:
        raise UnreadableDocument(_explain_mismatch(content, kind, suffix))
    return kind


def _get_suffix(name: str) -> str:
    return PurePath(name).suffix.lower()


def _explain_mismatch(content: Content, kind: Kind, suffix: str) -> str:
    is_office = bool(set(kind.contents) & set(OFFICE))
    if content == "a locked Office document" and is_office:
        return LOCKED
    if content == "an old Office document" and is_office:
        return f"It is in the format of Office before 2007: save it as {suffix[1:].upper()}."
    expected, remedy = "text" if kind.is_text else f"a {suffix[1:].upper()}", "Give it its right name."
    if kind.is_text and content == "binary data":  # no name helps
        remedy = "Save it as plain text in UTF-8, or send the file that it was made from."
    return f"It is not {expected}: its content looks like {content}. {remedy}"
