"""From a file's bytes to the content of a document record: parsed, cut, and its languages told."""

import hashlib
import re
from dataclasses import dataclass, field
from pathlib import PurePath

from domain.documents import ChunkText, DocumentContent
from domain.originals import Extracted, Part
from ingestion.chunking import CountTokens, Sizes, chunk_document, estimate_tokens
from ingestion.language import document_language, passage_language
from ingestion.parsers.parsed import ParsedDocument
from ingestion.parsers.sandbox import ParserProcess
from utils.errors import UnreadableDocument

# Raise it when parsers or chunking change what they give: unchanged files are then read again.
RECIPE_VERSION = 2
LONGEST_FILE_NAME = 255


@dataclass(frozen=True, slots=True)
class DocumentReader:
    """Reads files with one parser process, into chunks of *sizes* as *count_tokens* counts them."""

    parser: ParserProcess
    sizes: Sizes = field(default_factory=Sizes)
    count_tokens: CountTokens = estimate_tokens

    @property
    def recipe(self) -> str:
        """How documents are cut: the same file read by another recipe gives other chunks."""
        return f"{RECIPE_VERSION}/{self.sizes.target}/{self.sizes.most}/{self.sizes.small}/{self.sizes.tiny}"

    def read(self, data: bytes, name: str, source: str) -> DocumentContent:
        """The document in *data*; *name* is its file's, *source* what readers are shown.

        Raises:
            UnreadableDocument: in plain words, with what to do about it.
        """
        parsed = self.parser.parse(data, name)
        language = document_language(parsed.text)
        chunks = self._chunks(parsed, language)
        if not chunks:
            raise UnreadableDocument("There is no text in it.")
        return DocumentContent(
            source=source,
            title=parsed.title or readable_name(name),
            url=parsed.url,
            language=language,
            media_type=parsed.media_type,
            size_bytes=len(data),
            content_hash=content_hash(data),
            recipe=self.recipe,
            chunks=chunks,
            details={"characters": len(parsed.text), "pages": parsed.pages},
            file_name=PurePath(name).name[-LONGEST_FILE_NAME:],
            pages=parsed.pages,
            extracted=extracted_of(parsed).to_bytes(),
        )

    def _chunks(self, parsed: ParsedDocument, language: str) -> list[ChunkText]:
        cut = chunk_document(parsed, count_tokens=self.count_tokens, sizes=self.sizes)
        texts = ((chunk, parsed.text[chunk.start : chunk.end]) for chunk in cut)
        return [
            ChunkText(text, chunk.start, chunk.end, chunk.heading, chunk.page, passage_language(text, language))
            for chunk, text in texts
        ]


def extracted_of(parsed: ParsedDocument) -> Extracted:
    """The text and where its headings and pages begin, as it is kept beside the original."""
    parts = (Part(part.start, part.body, part.end, part.level, part.page) for part in parsed.sections)
    return Extracted(parsed.text, tuple(parts))


def content_hash(data: bytes) -> str:
    """What a file is recognised as unchanged by: its SHA-256."""
    return hashlib.sha256(data).hexdigest()


def readable_name(file_name: str) -> str:
    """A title made of a file's name: `annual-leave_policy.md` is "Annual leave policy"."""
    words = re.sub(r"[-_\s]+", " ", PurePath(file_name).stem).strip()
    return words[:1].upper() + words[1:] if words else file_name
