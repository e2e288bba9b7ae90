"""A multipart body, taken apart as it comes: its files go to disk one after the other, its metadata to memory.

Werkzeug's `FormDataParser` is not used: its `max_form_memory_size` bounds whatever waits to be parsed, files too, and
so refuses a file as soon as one read of it leaves a rest; without that bound it holds a part's headers of any length.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import IO

from python_multipart import MultipartParser
from python_multipart.exceptions import FormParserError
from werkzeug.http import parse_options_header

from api.metadata import MAX_METADATA_BYTES
from domain.uploads import LONGEST_EXTERNAL_ID
from utils.errors import BadInput, TooLarge
from utils.validation import refuse_field

MAX_FILES = 200  # in one request
_MAX_OTHERS = 20  # parts that are no files of ours
_METADATA_BYTES = 4 * MAX_METADATA_BYTES  # before it is parsed: white space and escapes may take more room
_TEXT_BYTES = 4 * 2_000
_EXTERNAL_ID_BYTES = 4 * LONGEST_EXTERNAL_ID
_DAMAGED = "The multipart body is damaged."


@dataclass(frozen=True, slots=True)
class UploadedFile:
    """A file of the body: `size_bytes` from `start` on in `disk`."""

    name: str
    disk: IO[bytes]
    start: int
    size_bytes: int

    def read(self, max_bytes: int | None = None) -> bytes:
        """All that was kept of it, or the first *max_bytes*."""
        self.disk.seek(self.start)
        return self.disk.read(self.size_bytes if max_bytes is None else min(max_bytes, self.size_bytes))


class UploadParser:
    """Reads a body piece by piece. Of each file one byte more than *max_file_bytes* is kept, to show that it is larger.

    Every method blocks while it writes to *disk*, and raises:
        BadInput: the body is damaged, or its metadata or an external id too long.
        TooLarge: it has too many parts.
    """

    def __init__(
        self,
        boundary: str,
        disk: IO[bytes],
        *,
        max_file_bytes: int,
        text_fields: Collection[str] = (),
        file_field: str = "files",
    ) -> None:
        """*text_fields* are the names of parts that are kept in `texts`; *file_field* is that of files."""
        self._file_field = file_field
        self.files: list[UploadedFile] = []
        self.texts = {name: bytearray() for name in text_fields}
        self.metadata = bytearray()
        self.external_ids: list[bytearray] = []
        self._disk, self._max_bytes = disk, max_file_bytes + 1
        self._others, self._is_whole = 0, False
        self._sent = set[str]()  # the fields that have one value
        self._field, self._value = bytearray(), bytearray()
        self._disposition = ""
        self._part_name, self._file_name = "", ""
        self._start = self._size_bytes = 0
        self._parser = self._make_parser(boundary)

    def write(self, data: bytes) -> None:
        """Take the next piece."""
        try:
            self._parser.write(data)
        except (FormParserError, UnicodeDecodeError) as exc:
            raise BadInput(_DAMAGED) from exc

    def finish(self) -> None:
        """Look that nothing is missing."""
        if not self._is_whole:
            raise BadInput(_DAMAGED)

    def _make_parser(self, boundary: str) -> MultipartParser:
        try:
            return MultipartParser(
                boundary.encode("latin-1"),
                {
                    "on_part_begin": self._begin_part,
                    "on_header_begin": self._begin_header,
                    "on_header_field": self._add_field,
                    "on_header_value": self._add_value,
                    "on_header_end": self._end_header,
                    "on_headers_finished": self._begin_data,
                    "on_part_data": self._add_data,
                    "on_part_end": self._end_part,
                    "on_end": self._end,
                },
            )
        except (UnicodeEncodeError, FormParserError) as exc:
            raise BadInput("The boundary of the multipart body is not valid.") from exc

    def _begin_part(self) -> None:
        self._disposition = ""

    def _begin_header(self) -> None:
        self._field.clear()
        self._value.clear()

    def _add_field(self, data: bytes, start: int, end: int) -> None:
        self._field += data[start:end]

    def _add_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _end_header(self) -> None:
        if self._field.lower() == b"content-disposition":
            self._disposition = self._value.decode()

    def _begin_data(self) -> None:
        kind, options = parse_options_header(self._disposition)
        if kind != "form-data":
            raise BadInput("Each part of the body needs a header Content-Disposition: form-data.")
        self._part_name, self._file_name = options.get("name", ""), options.get("filename", "")
        self._start, self._size_bytes = self._disk.tell(), 0
        self._refuse_twice()
        if self._part_name == "external_ids":
            self.external_ids.append(bytearray())
        elif not self._is_file:
            self._others += 1
        if len(self.files) + self._is_file > MAX_FILES or len(self.external_ids) > MAX_FILES:
            raise TooLarge(f"An upload has at most {MAX_FILES} files.")
        if self._others > _MAX_OTHERS:
            raise TooLarge(f"An upload has at most {_MAX_OTHERS} parts beside its files.")

    def _refuse_twice(self) -> None:
        if self._part_name in (*self.texts, "metadata"):  # their data would be joined
            if self._part_name in self._sent:
                raise refuse_field(f"{self._part_name}: Send it once.", self._part_name)
            self._sent.add(self._part_name)

    def _add_data(self, data: bytes, start: int, end: int) -> None:
        if self._is_file:
            end = min(end, start + self._max_bytes - self._size_bytes)
            self._size_bytes += self._disk.write(memoryview(data)[start:end])
        elif self._part_name == "metadata":
            self.metadata += data[start:end]
            if len(self.metadata) > _METADATA_BYTES:
                raise refuse_field(f"metadata has at most {MAX_METADATA_BYTES:,} bytes as JSON.", "metadata")
        elif self._part_name in self.texts:
            self.texts[self._part_name] += data[start:end]
            if len(self.texts[self._part_name]) > _TEXT_BYTES:
                raise refuse_field(f"{self._part_name} has at most {_TEXT_BYTES // 4:,} characters.", self._part_name)
        elif self._part_name == "external_ids":
            self.external_ids[-1] += data[start:end]
            if len(self.external_ids[-1]) > _EXTERNAL_ID_BYTES:
                raise refuse_field(f"An external id has at most {LONGEST_EXTERNAL_ID} characters.", "external_ids")

    def _end_part(self) -> None:
        if self._is_file:
            self.files.append(UploadedFile(self._file_name, self._disk, self._start, self._size_bytes))

    def _end(self) -> None:
        self._is_whole = True

    @property
    def _is_file(self) -> bool:
        # Browsers give a name to every part that has a type of its own, as metadata does.
        return self._part_name == self._file_field and bool(self._file_name)
