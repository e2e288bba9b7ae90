"""The file: a ZIP archive of three entries, and one for each file of a document.

- `documents.jsonl`: a document a line, UTF-8 JSON, as `DocumentLine` has it, with its chunks in reading order.
- `vectors.bin`, not compressed: for each vector the 16 bytes of its chunk's UUID, then its numbers as little-endian
  32-bit floats; in any order. Chunks whose vector was not computed yet are not in it.
- `files/<SHA-256>`: originals as they came (`content_hash` of a document), and what was read from them (`text_hash`).
- `head.json`: `Head`, which says what the vectors were made with and counts the others. It is written last.

Reading takes memory for one document with its files, and for the UUIDs of all vectors, some 150 bytes each.
"""

import hashlib
import os
import uuid
import zipfile
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import IO, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from retrieval.index import Stored
from utils.errors import BadInput
from utils.ports import FloatArray
from utils.validation import describe_error

DOCUMENTS, VECTORS, FILES, HEAD = "documents.jsonl", "vectors.bin", "files/", "head.json"
_LARGEST_FILE = 512 * 2**20
_LONGEST_LINE = 128 * 2**20
_LONGEST_HEAD = 2**16
_ID_BYTES = 16
# Some members have the names of an earlier day in the file.
_STRICT = ConfigDict(strict=True, extra="forbid", frozen=True, validate_by_name=True, serialize_by_alias=True)


class Head(BaseModel):
    """What the file holds, and what made its vectors and cut its chunks."""

    model_config = _STRICT

    format: Literal["pustaka-documents"] = "pustaka-documents"
    version: Literal[1] = 1
    model: str = Field(max_length=200)
    dimension: int = Field(ge=1, le=65_536)
    lexical_version: str = Field(max_length=40, validation_alias="recipe", serialization_alias="recipe")
    documents: int = Field(ge=0)
    chunks: int = Field(ge=0)
    vectors: int = Field(ge=0)


class ChunkLine(BaseModel):
    """A chunk; `start` and `end` are offsets in the document's text."""

    model_config = _STRICT

    chunk_id: str = Field(pattern=r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")
    text: str
    start: int = Field(ge=0)
    end: int = Field(ge=0)
    heading: str
    page: int | None
    language: str = Field(max_length=8)


class DocumentLine(BaseModel):
    """A document; `origin` is what it is recognised by when it is taken in again."""

    model_config = _STRICT

    origin: str = Field(min_length=1, max_length=4096)
    source: str = Field(max_length=4096)
    title: str = Field(max_length=500)
    url: str | None = Field(max_length=2000)
    language: str = Field(max_length=8)
    media_type: str = Field(max_length=120)
    size_bytes: int = Field(ge=0)
    content_hash: str = Field(max_length=64)
    text_hash: str = Field(max_length=64)
    file_name: str = Field(max_length=255)
    pages: int | None
    parser_version: str = Field(max_length=40, validation_alias="recipe", serialization_alias="recipe")
    chunking_version: str = Field(max_length=40, validation_alias="cut", serialization_alias="cut")
    details: dict[str, object]
    chunks: list[ChunkLine]


class ArchiveWriter:
    """Writes the entries one after the other: documents, then vectors, then the head."""

    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._archive = archive
        self.documents = self.chunks = self.vectors = 0
        self._entry: IO[bytes] = archive.open(DOCUMENTS, "w", force_zip64=True)

    def add_document(self, line: DocumentLine) -> None:
        """Write a document; before the first vector."""
        self._entry.write(line.model_dump_json().encode() + b"\n")
        self.documents += 1
        self.chunks += len(line.chunks)

    def begin_vectors(self) -> None:
        """There are no more documents."""
        self.close()
        # Stored as they are: numbers hardly become shorter, and a reader can go to any of them.
        stored = zipfile.ZipInfo(VECTORS)
        stored.compress_type = zipfile.ZIP_STORED
        self._entry = self._archive.open(stored, "w", force_zip64=True)

    def add_vectors(self, batch: Sequence[Stored]) -> None:
        """Write the vectors that these passages have."""
        for stored in batch:
            if stored.vector is not None:
                self._entry.write(uuid.UUID(stored.passage.passage_id).bytes + stored.vector.astype("<f4").tobytes())
                self.vectors += 1

    def add_file(self, content_hash: str, data: bytes) -> None:
        """Write a file; after the last vector."""
        self.close()
        self._archive.writestr(FILES + content_hash, data)

    def close(self) -> None:
        """End the entry that is being written."""
        self._entry.close()

    def finish(self, *, model: str, dimension: int, lexical_version: str) -> Head:
        """Write the head."""
        self.close()
        head = Head(
            model=model,
            dimension=dimension,
            lexical_version=lexical_version,
            documents=self.documents,
            chunks=self.chunks,
            vectors=self.vectors,
        )
        self._archive.writestr(HEAD, head.model_dump_json(indent=1))
        return head


@contextmanager
def write_archive(path: Path) -> Iterator[ArchiveWriter]:
    """Write the file at *path*, which is there when the block ends well, and as it was before when it does not.

    Raises:
        BadInput: it cannot be written there.
    """
    part = path.with_name(path.name + ".part")
    try:
        with zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
            writer = ArchiveWriter(archive)
            try:
                yield writer
            finally:
                writer.close()
        os.replace(part, path)
    except OSError as exc:
        raise BadInput(f"{path} cannot be written: {exc.strerror}.") from exc
    finally:
        with suppress(OSError):
            part.unlink()


class DocumentArchive:
    """A file that was checked from end to end: every line fits, and every entry is as long as the head says."""

    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._archive = archive
        self.head = _read_head(archive)
        self._offsets = self._check_vectors()
        self._check_documents()
        self._check_files()
        self._vectors = archive.open(VECTORS)

    def close(self) -> None:
        """Close the entry of the vectors."""
        self._vectors.close()

    def read_documents(self) -> Generator[DocumentLine, None, None]:
        """The documents, one after the other."""
        with self._archive.open(DOCUMENTS) as entry:
            number = 0
            while line := entry.readline(_LONGEST_LINE + 1):
                number += 1
                if len(line) > _LONGEST_LINE:
                    raise BadInput(f"{DOCUMENTS}, line {number}: it is longer than {_LONGEST_LINE >> 20} MiB.")
                yield _parse_document(line, number)

    def read_vector(self, chunk_id: str) -> FloatArray | None:
        """The vector of a chunk, shape `(dimension,)`; None where there is none."""
        offset = self._offsets.get(uuid.UUID(chunk_id).bytes)
        if offset is None:
            return None
        self._vectors.seek(offset)
        return np.frombuffer(self._vectors.read(4 * self.head.dimension), "<f4").astype(np.float32)

    def read_file(self, content_hash: str) -> bytes | None:
        """A file of a document; None where it is not there."""
        try:
            return self._archive.read(FILES + content_hash)
        except KeyError:
            return None

    def _check_files(self) -> None:
        for info in self._archive.infolist():
            if not info.filename.startswith(FILES):
                continue
            if info.file_size > _LARGEST_FILE:
                raise BadInput(f"{info.filename} is larger than {_LARGEST_FILE >> 20} MiB.")
            if hashlib.sha256(self._archive.read(info)).hexdigest() != info.filename.removeprefix(FILES):
                raise BadInput(f"{info.filename} is not the file it is named after.")

    def _check_vectors(self) -> dict[bytes, int]:
        size = _ID_BYTES + 4 * self.head.dimension
        info = _find_entry(self._archive, VECTORS)
        if info.compress_type != zipfile.ZIP_STORED or info.file_size != size * self.head.vectors:
            raise BadInput(f"{VECTORS} does not hold {self.head.vectors} vectors of {self.head.dimension} numbers.")
        offsets: dict[bytes, int] = {}
        with self._archive.open(VECTORS) as entry:
            for index in range(0, info.file_size, size):
                record = entry.read(size)
                if len(record) != size or not np.isfinite(np.frombuffer(record[_ID_BYTES:], "<f4")).all():
                    raise BadInput(f"{VECTORS}: a vector holds something else than {self.head.dimension} numbers.")
                offsets[record[:_ID_BYTES]] = index + _ID_BYTES
            entry.read(1)  # compares the checksum
        return offsets

    def _check_documents(self) -> None:
        documents = chunks = 0
        for document in self.read_documents():
            documents += 1
            chunks += len(document.chunks)
        if (documents, chunks) != (self.head.documents, self.head.chunks):
            raise BadInput(
                f"{DOCUMENTS} holds {documents} documents of {chunks} chunks, {HEAD} says {self.head.documents} of "
                f"{self.head.chunks}."
            )


@contextmanager
def open_archive(path: Path) -> Iterator[DocumentArchive]:
    """The file at *path*, checked from end to end before it is given.

    Raises:
        BadInput: it cannot be read, is no such file, is cut off, or says something that cannot be.
    """
    try:
        with zipfile.ZipFile(path) as archive, closing(DocumentArchive(archive)) as opened:
            yield opened
    except OSError as exc:
        raise BadInput(f"{path} cannot be read: {exc.strerror or exc}.") from exc
    except (zipfile.BadZipFile, zipfile.LargeZipFile, EOFError, NotImplementedError, RuntimeError) as exc:
        raise BadInput(f"{path} is not a complete export of documents: {exc}") from exc


def _find_entry(archive: zipfile.ZipFile, name: str) -> zipfile.ZipInfo:
    try:
        return archive.getinfo(name)
    except KeyError as exc:
        raise BadInput(f"Not an export of documents: {name} is missing in it.") from exc


def _read_head(archive: zipfile.ZipFile) -> Head:
    if _find_entry(archive, HEAD).file_size > _LONGEST_HEAD:
        raise BadInput(f"{HEAD} is too long.")
    _find_entry(archive, DOCUMENTS)
    try:
        return Head.model_validate_json(archive.read(HEAD))
    except ValidationError as exc:
        raise BadInput(f"{HEAD}: {_describe_first_error(exc)}") from exc


def _parse_document(line: bytes, number: int) -> DocumentLine:
    try:
        return DocumentLine.model_validate_json(line)
    except ValidationError as exc:
        raise BadInput(f"{DOCUMENTS}, line {number}: {_describe_first_error(exc)}") from exc


def _describe_first_error(exc: ValidationError) -> str:
    error = exc.errors(include_url=False, include_input=False)[0]
    return f"{'.'.join(map(str, error['loc'])) or 'it'}: {describe_error(error)}"
