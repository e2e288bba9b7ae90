"""Zipped formats: single parts of the archive, unpacked within limits."""

import io
import zipfile
import zlib
from dataclasses import dataclass, field
from typing import IO

from lxml import etree

from ingestion.parsers.parsed import LOCKED, Limits
from utils.errors import UnreadableDocument

ENCRYPTED = 0x1  # bit of a part's flags (APPNOTE.TXT 4.4.4)


@dataclass(slots=True)
class Archive:
    """The parts of a zipped document; no more is unpacked than `limits.unpacked_bytes`, all together.

    What is never asked for, such as pictures and films, is never unpacked.
    """

    limits: Limits
    kind: str
    _parts: dict[str, zipfile.ZipInfo]
    _file: zipfile.ZipFile
    _unpacked: int = field(default=0)

    @classmethod
    def from_bytes(cls, data: bytes, limits: Limits, kind: str) -> "Archive":
        """The archive in *data*, a *kind* such as "DOCX".

        Raises:
            UnreadableDocument: it is none, is damaged, or is locked with a password.
        """
        try:
            file = zipfile.ZipFile(io.BytesIO(data))
        except (zipfile.BadZipFile, ValueError, NotImplementedError) as exc:
            raise UnreadableDocument(f"It is damaged, or not a complete {kind}: save or download it again.") from exc
        parts = {part.filename.replace("\\", "/"): part for part in file.infolist()}
        return cls(limits, kind, parts, file)

    def __contains__(self, name: str) -> bool:
        return name in self._parts

    def read(self, name: str) -> bytes:
        """A part's bytes.

        Raises:
            UnreadableDocument: there is no such part, it is damaged or locked, or too much is unpacked already.
        """
        try:
            with self.open(name) as part:
                return part.read()
        except (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError, NotImplementedError) as exc:
            raise self.make_damage_error() from exc

    def open(self, name: str) -> IO[bytes]:
        """A part to be read piece by piece, within the limits of `read`, and closed by the caller.

        Raises:
            UnreadableDocument: as `read`; where it is damaged, reading it raises what zipfile does.
        """
        part = self._parts.get(name)
        if part is None:
            raise self.make_damage_error()
        self._unpacked += part.file_size
        self._check(self._unpacked, is_locked=bool(part.flag_bits & ENCRYPTED))
        try:
            return self._file.open(part)
        except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as exc:
            raise self.make_damage_error() from exc

    def check_parts(self, *suffixes: str) -> None:
        """Refuse the archive as `read` would if every part whose name ends so were read."""
        parts = [part for name, part in self._parts.items() if name.lower().endswith(suffixes)]
        self._check(sum(part.file_size for part in parts), is_locked=any(part.flag_bits & ENCRYPTED for part in parts))

    def read_xml(self, name: str) -> etree._Element:
        """The root of a part that is XML, as `read`; entities are not resolved, nothing is fetched."""
        parser = etree.XMLParser(resolve_entities=False, no_network=True, remove_comments=True, remove_pis=True)
        try:
            root = etree.fromstring(self.read(name), parser)
        except (etree.LxmlError, ValueError) as exc:
            raise self.make_damage_error() from exc
        if root is None:
            raise self.make_damage_error()
        return root

    def _check(self, unpacked: int, *, is_locked: bool) -> None:
        """The sizes are those that the archive states: unpacking a part stops there."""
        if is_locked:
            raise UnreadableDocument(LOCKED)
        if unpacked > self.limits.unpacked_bytes:
            most = f"{self.limits.unpacked_bytes / 1e6:g} MB"
            raise UnreadableDocument(f"Unpacked it is larger than the {most} of text that are read: split it.")

    def make_damage_error(self) -> UnreadableDocument:
        """The refusal of an archive that misses a part, or holds one that cannot be read."""
        return UnreadableDocument(
            f"It is damaged, or a variant of {self.kind} that is not read: open it in the program that made it, "
            "and save it again."
        )


def find_title(archive: Archive, part: str) -> str | None:
    """The document's title in *part*, which holds its properties; None where there is none, or *part* is damaged."""
    try:
        title = archive.read_xml(part).find(".//{http://purl.org/dc/elements/1.1/}title")
    except UnreadableDocument:
        return None
    return (title.text or "").strip() or None if title is not None else None
