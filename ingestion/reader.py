"""From a file's bytes to the content of a document record: parsed, cut into chunks, and its language detected."""

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from pathlib import PurePath

from domain.document_dates import DATE_IN_FILE
from domain.document_files import Extracted, TextPart
from domain.documents import DocumentContent
from ingestion.chunking import ChunkSizes, chunk_text, estimate_tokens
from ingestion.language import detect_document_language
from ingestion.malware import MalwareCheck
from ingestion.parsers.parsed import ParsedDocument, clean
from ingestion.parsers.recognition import Recognition
from ingestion.parsers.sandbox import PageProgress, ParserProcess
from providers.ocr.chosen import LANGUAGES
from utils.errors import UnreadableDocument

# Raise it when parsers change what they give: unchanged files are then read again.
PARSER_VERSION = "4"
LONGEST_FILE_NAME = 255
TURN_ON = (
    "There is no text recognition (OCR) here: turn OCR_ENABLED on, and install what requirements.txt lists, "
    f"or Tesseract with its data for {', '.join(LANGUAGES)}; then start the service again."
)
NOT_RECOGNISED = (
    "Their text could not be recognised: it is blurred, or in letters that the text recognition does not know."
)
PICTURES = "They are pictures."
GARBLED = "Their text is garbled: the fonts of the file do not say which letters they show."
SEND_SOURCE = "Send the file from which it was made, or export it again with its fonts."


@dataclass(frozen=True, slots=True)
class CheckedFile:
    """A parsed file, and whether the malware check found it clean; see `MalwareCheck.check`."""

    document: ParsedDocument
    is_clean: bool | None


@dataclass(frozen=True, slots=True)
class DocumentReader:
    """Reads files with one parser process, into chunks of *sizes*.

    Files are read by this class alone, so that none is parsed before it has passed the *malware* check. Its methods
    raise `UnreadableDocument`, which says in plain words what to do about it.

    `read` is quick: it takes the text that is there. `read_whole` also recognises the text of pages that are pictures;
    `awaits_recognition` says of the details that `read` gives whether there are any.
    """

    parser: ParserProcess
    malware: MalwareCheck
    sizes: ChunkSizes = field(default_factory=ChunkSizes)

    def read(self, data: bytes, name: str, source: str) -> DocumentContent:
        """The document in *data*; *name* is its file's, *source* what readers are shown.

        `details["unread_pages"]` lists the pages that are pictures. Where nothing else is in the document, and they can
        be recognised, there are no chunks yet.
        """
        return self.make_content(self.parse(data, name), data, name, source)

    def read_whole(
        self, data: bytes, name: str, source: str, *, progress: PageProgress | None = None
    ) -> DocumentContent:
        """The document in *data* with the text of pages that are pictures, which takes seconds for each.

        *progress* is called before each of them and at the end with how many are done and how many there are; what it
        raises ends the work. `details["unread_pages"]` lists those that could not be recognised.
        """
        checked = self.parse(data, name)
        if checked.document.unread_pages:
            whole = self.parser.recognise(data, name, checked.document.unread_pages, progress)
            checked = replace(checked, document=whole)
        return self._make_content(checked, data, name, source, recognised=self.parser.recognises)

    def read_pages(
        self, data: bytes, name: str, so_far: Recognition | None, *, progress: PageProgress, slice_s: float
    ) -> Recognition:
        """The slow part of `read_whole` in slices: recognise further pages for *slice_s* seconds.

        *so_far* is what the former call gave, None for the first one.
        """
        if so_far is None:
            so_far = self.parser.begin_recognition(self.parse(data, name).document.unread_pages)
        else:
            self.malware.check(data)
        return self.parser.read_pages(data, name, so_far, progress, slice_s=slice_s)

    def read_with(self, data: bytes, name: str, source: str, recognition: Recognition) -> DocumentContent:
        """What `read_whole` gives, once no page is left for `read_pages`."""
        is_clean = self.malware.check(data)
        checked = CheckedFile(self.parser.parse_with(data, name, recognition), is_clean)
        return self._make_content(checked, data, name, source, recognised=self.parser.recognises)

    def parse(self, data: bytes, name: str) -> CheckedFile:
        """The parsed document in *data*, after the malware check.

        Raises:
            InfectedFile: there is malware in it.
            ScannerUnavailable: the scanner does not answer, and is required.
        """
        is_clean = self.malware.check(data)
        return CheckedFile(self.parser.parse(data, name), is_clean)

    def make_content(self, checked: CheckedFile, data: bytes, name: str, source: str) -> DocumentContent:
        """What `read` gives, for what was parsed from *data* already.

        Raises:
            UnreadableDocument: there is no text in it.
        """
        return self._make_content(checked, data, name, source, recognised=False)

    def awaits_recognition(self, details: Mapping[str, object]) -> bool:
        """Whether `read_whole` would give more than the document with these *details* holds."""
        return self.parser.recognises and bool(details.get("unread_pages")) and not details.get("recognised")

    def describe_unread(self, details: Mapping[str, object]) -> str | None:
        """Which pages were not read, and why, for readers; None if all were."""
        notes = details.get("notes")
        parts = [str(note) for note in notes] if isinstance(notes, list) else []
        unread, garbled = _get_pages(details, "unread_pages"), _get_pages(details, "garbled_pages")
        if not unread:
            return " ".join(parts) or None
        if pictures := [page for page in unread if page not in garbled]:
            parts.append(f"{_name_pages(pictures)} not read. {PICTURES}")
        if garbled:
            parts.append(f"{_name_pages(garbled)} not read, or in part. {GARBLED} {SEND_SOURCE}")
        return " ".join([*parts, NOT_RECOGNISED if self.parser.recognises else TURN_ON])

    def _make_content(
        self, checked: CheckedFile, data: bytes, name: str, source: str, *, recognised: bool
    ) -> DocumentContent:
        parsed, details = checked.document, _make_details(checked) | {"recognised": recognised}
        language = detect_document_language(parsed.text)
        chunks = chunk_text(parsed.text, parsed.sections, language, sizes=self.sizes, count_tokens=estimate_tokens)
        if not chunks and not self.awaits_recognition(details):
            raise UnreadableDocument(_explain_empty(parsed, recognises=self.parser.recognises))
        return DocumentContent(
            source=source,
            title=parsed.title or make_readable_name(name),
            url=parsed.url,
            language=language,
            media_type=parsed.media_type,
            size_bytes=len(data),
            content_hash=compute_content_hash(data),
            parser_version=PARSER_VERSION,
            chunking_version=self.sizes.chunking_version,
            chunks=chunks,
            details=details,
            file_name=PurePath(name).name[-LONGEST_FILE_NAME:],
            pages=parsed.pages,
            extracted=make_extracted(parsed).to_bytes(),
        )


def make_extracted(parsed: ParsedDocument) -> Extracted:
    """The text and where its headings and pages begin, as it is kept beside the original."""
    parts = (TextPart(part.start, part.body, part.end, part.level, part.page, part.heading) for part in parsed.sections)
    return Extracted(parsed.text, tuple(parts))


def _make_details(checked: CheckedFile) -> dict[str, object]:
    parsed = checked.document
    details: dict[str, object] = {
        "characters": len(parsed.text),
        "pages": parsed.pages,
        "unread_pages": list(parsed.unread_pages),
        "garbled_pages": list(parsed.garbled_pages),
        "notes": list(parsed.notes),
    }
    details |= {DATE_IN_FILE if name == "date" else name: value for name, value in parsed.front_matter.items()}
    if checked.is_clean is not None:
        details["scanned"] = checked.is_clean
    return details


def _explain_empty(parsed: ParsedDocument, *, recognises: bool) -> str:
    if not parsed.unread_pages:
        return "There is no text in it."
    if parsed.garbled_pages:
        return " ".join([GARBLED, SEND_SOURCE, NOT_RECOGNISED if recognises else TURN_ON])
    if recognises:
        return f"There is no text in it but in pictures. {NOT_RECOGNISED} Scan it again, upright and sharper."
    return f"There is no text in it but in pictures: it is a scan. {TURN_ON}"


def _get_pages(details: Mapping[str, object], name: str) -> list[int]:
    pages = details.get(name)
    return pages if isinstance(pages, list) else []


def _name_pages(pages: Sequence[int]) -> str:
    return f"Page {_format_ranges(pages)}" if len(pages) == 1 else f"Pages {_format_ranges(pages)}"


def _format_ranges(pages: Sequence[int]) -> str:
    """`[1, 2, 3, 7]` is "1–3, 7"."""
    runs = [[page for _, page in run] for _, run in groupby(enumerate(pages), key=lambda entry: entry[1] - entry[0])]
    return ", ".join(f"{run[0]}–{run[-1]}" if len(run) > 1 else str(run[0]) for run in runs)


def compute_content_hash(data: bytes) -> str:
    """The SHA-256 of a file, by which it is known to be unchanged."""
    return hashlib.sha256(data).hexdigest()


def make_readable_name(file_name: str) -> str:
    """A title made of a file's name: `annual-leave_policy.md` is "Annual leave policy"."""
    words = re.sub(r"[-_\s]+", " ", clean(PurePath(file_name).stem)).strip()
    return words[:1].upper() + words[1:] if words else file_name
