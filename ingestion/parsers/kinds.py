"""Which parser a file is for: its name says what it should be, its bytes whether it is.

Parsers are imported with the first file of their kind, so that the service itself never loads one.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import PurePath
from typing import Any

from ingestion.parsers.encoding import is_declared_by_itself
from ingestion.parsers.garbled import is_garbled
from ingestion.parsers.parsed import LOCKED, Limits, ParsedDocument
from ingestion.parsers.sniffing import Content, content_of
from utils.errors import UnreadableDocument
from utils.ports import Picture


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of file: the module that reads it, and what its bytes may look like."""

    module: str
    contents: tuple[Content, ...]
    has_pictures: bool = False  # of pages, whose text can be recognised
    imports: tuple[str, ...] = ()  # modules that the module imports with some files of its kind alone


UNKNOWN_ENCODING = "Its letters make no words: its encoding is not known, or it is damaged. Save it in UTF-8."
_BLANK_BYTES = 64
# From where a run begins, so that each byte is looked at once; NUL bytes, as UTF-16 has them in between.
_LONG_BLANK = re.compile(rb"(?<![\x00\t-\r ])[\x00\t-\r ]{1024,}+")
TEXT: tuple[Content, ...] = ("text", "a web page")
_PICTURE = Kind("image", ("a picture",), has_pictures=True)
_ATTACHED = ("ingestion.parsers.pdf", "ingestion.parsers.docx")
_OPEN_DOCUMENT = Kind("odf", ("an OpenDocument file",))
_WORD = Kind("docx", ("a Word document",))
_SLIDES = Kind("pptx", ("a presentation",))
_OLD = Kind(
    "old_office",
    ("an old Office document", "rich text", "a web page", "text", "a Word document", "a presentation", "a spreadsheet"),
)
_SHEETS = Kind("xlsx", ("a spreadsheet",))
KINDS: Mapping[str, Kind] = {
    ".md": Kind("markdown", TEXT),
    ".markdown": Kind("markdown", TEXT),
    ".txt": Kind("text", TEXT),
    ".text": Kind("text", TEXT),
    ".html": Kind("html", TEXT),
    ".htm": Kind("html", TEXT),
    ".xhtml": Kind("html", TEXT),
    ".pdf": Kind("pdf", ("a PDF",), has_pictures=True, imports=("ingestion.parsers.pdf_tables",)),
    # With macros, which nobody looks at, and templates; as their plain kin.
    **dict.fromkeys((".docx", ".docm", ".dotx", ".dotm"), _WORD),
    **dict.fromkeys((".pptx", ".pptm", ".ppsx", ".ppsm", ".potx", ".potm"), _SLIDES),
    **dict.fromkeys((".xlsx", ".xlsm", ".xltx", ".xltm"), _SHEETS),
    **dict.fromkeys((".odt", ".ott", ".ods", ".ots", ".odp", ".otp"), _OPEN_DOCUMENT),
    **dict.fromkeys((".doc", ".dot", ".rtf", ".xls", ".xlt", ".ppt", ".pps", ".pot"), _OLD),
    ".csv": Kind("delimited", TEXT),
    ".tsv": Kind("delimited", TEXT),
    ".json": Kind("structured", TEXT),
    ".jsonl": Kind("structured", TEXT),
    ".eml": Kind("mail", TEXT, imports=_ATTACHED),
    ".msg": Kind("outlook", ("an Outlook message",), imports=_ATTACHED),
    ".epub": Kind("epub", ("an e-book",)),
    ".vtt": Kind("subtitles", TEXT),
    ".srt": Kind("subtitles", TEXT),
    ".png": _PICTURE,
    ".jpg": _PICTURE,
    ".jpeg": _PICTURE,
    ".tif": _PICTURE,
    ".tiff": _PICTURE,
    ".webp": _PICTURE,
}
# Of no file: what a crawler calls a page, whatever its address ends with.
PAGE_SUFFIX = ".webpage"
FETCHED: Mapping[str, Kind] = {PAGE_SUFFIX: Kind("webpage", TEXT, imports=("trafilatura",))}
OFFICE: tuple[Content, ...] = ("a Word document", "a presentation", "a spreadsheet")


def is_known(name: str) -> bool:
    """Whether there is a parser for files of this name."""
    return _suffix(name) in KINDS


def is_old(name: str) -> bool:
    """Whether files of this name may have to be converted before they are read."""
    return KINDS.get(_suffix(name)) is _OLD


def modules_for(name: str) -> tuple[str, ...]:
    """The modules that reading a file of this name imports, first the one that every such file needs."""
    suffix = _suffix(name)
    if suffix not in KINDS and suffix not in FETCHED:
        return ()
    kind = _kind(suffix)
    return (f"ingestion.parsers.{kind.module}", *kind.imports)


def parse(data: bytes, name: str, limits: Limits, recognised: Mapping[int, str] | None = None) -> ParsedDocument:
    """The document in *data*, which was found under *name*; *recognised* is the text of pages that are pictures.

    Raises:
        UnreadableDocument: in plain words, with what to do about it.
    """
    module = _module(data, name, limits)
    if _kind(_suffix(name)).contents == TEXT:
        data = without_long_blanks(data)
    parsed = module.parse(data, limits, recognised) if recognised else module.parse(data, limits)
    if not isinstance(parsed, ParsedDocument):
        raise TypeError(f"{module.__name__} gave no document.")
    if _kind(_suffix(name)).contents == TEXT and not is_declared_by_itself(data) and is_garbled(parsed.text):
        raise UnreadableDocument(UNKNOWN_ENCODING)
    return parsed


def without_long_blanks(data: bytes) -> bytes:
    """*data* with each very long run of white space cut short, by a multiple of four bytes, so that UTF-16 and UTF-32
    stay what they are.

    Nobody means 45 MB of empty lines, and parsers take a minute for them.
    """
    return _LONG_BLANK.sub(lambda run: run[0][: _BLANK_BYTES + len(run[0]) % 4], data)


def pictures(data: bytes, name: str, limits: Limits, pages: Sequence[int]) -> Iterator[Picture]:
    """The given pages of the document as pictures, one after the other; none of a kind that has no pages.

    Raises:
        UnreadableDocument: as `parse`.
    """
    module = _module(data, name, limits)
    if _kind(_suffix(name)).has_pictures:
        yield from module.pictures(data, limits, pages)


def _module(data: bytes, name: str, limits: Limits) -> Any:
    """The parser for it, once its size and content were looked at."""
    suffix = _suffix(name)
    if not data:
        raise UnreadableDocument("It is empty.")
    if len(data) > limits.size_bytes:
        raise UnreadableDocument(f"It is larger than {limits.size_bytes / 1e6:g} MB: split it.")
    if suffix not in KINDS and suffix not in FETCHED:
        raise UnreadableDocument(f"Files of this kind are not read; those that are: {', '.join(KINDS)}.")
    _check_content(content_of(data), suffix)
    return import_module(f"ingestion.parsers.{_kind(suffix).module}")


def _kind(suffix: str) -> Kind:
    return KINDS[suffix] if suffix in KINDS else FETCHED[suffix]


def _suffix(name: str) -> str:
    return PurePath(name).suffix.lower()


def _check_content(found: Content, suffix: str) -> None:
    wanted = _kind(suffix).contents
    if found in wanted:
        return
    if found == "a locked Office document" and set(wanted) & set(OFFICE):
        raise UnreadableDocument(LOCKED)
    if found == "an old Office document" and set(wanted) & set(OFFICE):
        raise UnreadableDocument(f"It is in the format of Office before 2007: save it as {suffix[1:].upper()}.")
    name = "text" if wanted == TEXT else suffix[1:].upper()
    article = "" if wanted == TEXT else "a "
    remedy = "Give it its right name."
    if wanted == TEXT and found == "binary data":  # no name helps
        remedy = "Save it as plain text in UTF-8, or send the file that it was made from."
    raise UnreadableDocument(f"It is not {article}{name}: its content looks like {found}. {remedy}")
