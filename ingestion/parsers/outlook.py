"""E-mail as Outlook saves it: MAPI properties in a compound file ([MS-OXMSG])."""

import datetime
import io
import struct
from collections.abc import Sequence

import olefile

from ingestion.parsers.encoding import decode
from ingestion.parsers.mail import ENCRYPTED, MAX_ATTACHED, PGP, add_attachment, add_page, add_signed, add_text
from ingestion.parsers.parsed import Limits, ParsedDocument, TextBuilder
from utils.errors import UnreadableDocument

SUBJECT, SENDER, SENDER_ADDRESS, TO, CC, BODY, HTML = "0037", "0C1A", "5D01", "0E04", "0E03", "1000", "1013"
LONG_NAME, NAME, CONTENT, CONTENT_TYPE = "3707", "3704", "3701", "370E"
CLASS, SMIME, PGP_MIME = "001A", "ipm.note.smime", "application/pgp-encrypted"
UNICODE, NARROW, BINARY = "001F", "001E", "0102"
SENT, TIME_TYPE = 0x0039, 0x0040
CODE_PAGES, LONG_TYPE, UTF_8 = (0x3FFD, 0x3FDE), 0x0003, 65001  # of the message, and of its body
ROOT_HEADER_BYTES, PROPERTY_BYTES = 32, 16
MEDIA_TYPE = "application/vnd.ms-outlook"


def parse(data: bytes, limits: Limits) -> ParsedDocument:
    """The message; its title is its subject."""
    try:
        with olefile.OleFileIO(io.BytesIO(data)) as file:
            return _read(_Properties(file, limits), limits)
    except (OSError, struct.error, IndexError, ValueError, TypeError) as exc:
        raise UnreadableDocument("It is damaged, or not a complete MSG: save it in Outlook again.") from exc


def _read(message: "_Properties", limits: Limits) -> ParsedDocument:
    subject = message.read_text("", SUBJECT)
    builder = TextBuilder(limits)
    builder.add_heading(1, subject)
    sender = " ".join(filter(None, (message.read_text("", SENDER), message.read_text("", SENDER_ADDRESS))))
    headers = {
        "From": sender,
        "To": message.read_text("", TO),
        "Cc": message.read_text("", CC),
        "Date": message.read_sent_time(),
    }
    builder.add_lines(f"{name}: {value}" for name, value in headers.items() if value)
    folders = message.list_attachments()[:MAX_ATTACHED]
    if message.read_text("", CLASS).casefold().startswith(SMIME) and folders:
        add_signed(builder, message.read_bytes(folders[0], CONTENT), limits)
    else:
        _add_content(builder, message, folders, limits)
    return builder.build(title=subject, media_type=MEDIA_TYPE)


def _add_content(builder: TextBuilder, message: "_Properties", folders: Sequence[str], limits: Limits) -> None:
    body = message.read_text("", BODY)
    is_pgp = any(message.read_text(folder, CONTENT_TYPE) == PGP_MIME for folder in folders)
    if is_pgp or body.lstrip().startswith(PGP):
        raise UnreadableDocument(ENCRYPTED)
    if body.strip():
        add_text(builder, body.replace("\r\n", "\n"))
    else:
        add_page(builder, message.read_bytes("", HTML))
    for folder in folders:
        name = message.read_text(folder, LONG_NAME) or message.read_text(folder, NAME)
        add_attachment(builder, message.read_bytes(folder, CONTENT), name, limits, 2)


class _Properties:
    """The values of a message and its attachments, each in a stream named by its tag and type."""

    def __init__(self, file: olefile.OleFileIO, limits: Limits) -> None:
        self._file, self._limits = file, limits

    def list_attachments(self) -> list[str]:
        """The folders of the attachments."""
        attachments = {entry[0] for entry in self._file.listdir(streams=True, storages=True)}
        return sorted(name for name in attachments if name.startswith("__attach_version1.0_"))

    def read_text(self, folder: str, tag: str) -> str:
        """A property as text; empty if there is none."""
        wide = self._stream(folder, f"__substg1.0_{tag}{UNICODE}")
        if wide:
            return wide.decode("utf-16-le", "replace").strip("\0 ")
        narrow = self._stream(folder, f"__substg1.0_{tag}{NARROW}")
        return decode(narrow, declared=self._find_code_page()).strip("\0 ")

    def _find_code_page(self) -> str | None:
        """The encoding of text that is not Unicode, if the message names it."""
        values = (self._read_number(tag, LONG_TYPE) for tag in CODE_PAGES)
        number = next((value & 0xFFFFFFFF for value in values if value is not None), None)
        if number is None:
            return None
        return "utf-8" if number == UTF_8 else f"cp{number}"

    def read_bytes(self, folder: str, tag: str) -> bytes:
        """A property as bytes; empty if there is none."""
        return self._stream(folder, f"__substg1.0_{tag}{BINARY}")

    def read_sent_time(self) -> str:
        """When it was sent, in UTC, or nothing: in tenths of microseconds since 1601 ([MS-DTYP] 2.3.3)."""
        value = self._read_number(SENT, TIME_TYPE)
        if value is None or value >= 10**18:
            return ""
        moment = datetime.datetime(1601, 1, 1) + datetime.timedelta(microseconds=value // 10)
        return moment.isoformat(" ", "minutes") + " UTC"

    def _read_number(self, property_tag: int, property_kind: int) -> int | None:
        """A property that is a number, None if there is none: 16 bytes for each of them after a head."""
        values = self._stream("", "__properties_version1.0")
        for place in range(ROOT_HEADER_BYTES, len(values) - PROPERTY_BYTES + 1, PROPERTY_BYTES):
            kind, tag, _, value = struct.unpack_from("<HHIQ", values, place)
            if (tag, kind) == (property_tag, property_kind):
                return int(value)
        return None

    def _stream(self, folder: str, name: str) -> bytes:
        path = [folder, name] if folder else [name]
        if not self._file.exists(path):
            return b""
        if self._file.get_size(path) > self._limits.size_bytes:
            raise ValueError("A stream says that it is larger than the file.")
        return bytes(self._file.openstream(path).read())
