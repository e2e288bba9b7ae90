"""E-mail as mail programs save it (RFC 5322): who wrote what to whom, then what is attached."""

import email
import email.policy
import re
from collections.abc import Iterator
from email.errors import MessageError
from email.message import EmailMessage, Message
from itertools import islice

from ingestion.parsers import html
from ingestion.parsers.cms import find_signed
from ingestion.parsers.encoding import UNKNOWN_ENCODING, decode, is_declared_by_itself
from ingestion.parsers.garbled import is_garbled
from ingestion.parsers.parsed import Limits, ParsedDocument, TextBuilder, join_lines
from utils.errors import UnreadableDocument

SHOWN = ("From", "To", "Cc", "Date")
HEAD_BYTES = 200
MAX_PARTS = 200
MAX_ATTACHED = 50
MAX_DEPTH = 3  # of mails attached to mails
ENCRYPTED = (
    "The message is encrypted (S/MIME or PGP): open it in the mail program that has the key, and save it without "
    "encryption, or its text."
)
SMIME = ("application/pkcs7-mime", "application/x-pkcs7-mime")
SIGNATURES = ("application/pkcs7-signature", "application/x-pkcs7-signature", "application/pgp-signature")
PGP = "-----BEGIN PGP MESSAGE-----"
MAX_BINARY = 0.02  # of the characters of a body
_BINARY = re.compile("[\x01-\x08\x0e-\x1f]")  # NULs alone are padding
MEDIA_TYPE = "message/rfc822"


def parse(data: bytes, limits: Limits) -> ParsedDocument:
    """The message; its title is its subject. Signatures are not checked.

    Raises:
        UnreadableDocument: it is none, or encrypted.
    """
    source = decode(data).encode() if b"\0" in data[:HEAD_BYTES] else data  # UTF-16, as some programs save it
    message = email.message_from_bytes(source, policy=email.policy.default)
    if not isinstance(message, EmailMessage) or not any(name in message for name in ("From", "To", "Subject", "Date")):
        raise UnreadableDocument("It is not an e-mail: save it as EML again.")
    builder = TextBuilder(limits)
    _add_message(builder, message, limits, 1)
    return builder.build(title=_read_header(message, "Subject"), media_type=MEDIA_TYPE)


def _add_message(builder: TextBuilder, message: EmailMessage, limits: Limits, depth: int) -> None:
    builder.add_heading(depth, _read_header(message, "Subject") or "")
    builder.add_lines(f"{name}: {value}" for name in SHOWN if (value := _read_header(message, name)))
    _add_content(builder, _open_signature(message), limits, depth)


def add_signed(builder: TextBuilder, data: bytes, limits: Limits) -> None:
    """The body and the attachments of *data*, a message without the head that people see (MIME, or CMS around it).

    Raises:
        UnreadableDocument: it is encrypted.
    """
    signed = find_signed(data)
    message = email.message_from_bytes(data if signed is None else signed, policy=email.policy.default)
    if not isinstance(message, EmailMessage) or (signed is None and "Content-Type" not in message):
        raise UnreadableDocument(ENCRYPTED)
    _add_content(builder, _open_signature(message), limits, 1)


def _add_content(builder: TextBuilder, message: EmailMessage, limits: Limits, depth: int) -> None:
    _add_body(builder, message)
    for part in _list_attachments(message):
        _add_part(builder, part, limits, depth + 1)


def _open_signature(message: EmailMessage) -> EmailMessage:
    """The message, or the one that is inside its signature (S/MIME).

    Raises:
        UnreadableDocument: it is encrypted.
    """
    if message.get_content_type() == "multipart/encrypted":
        raise UnreadableDocument(ENCRYPTED)
    if message.get_content_type() not in SMIME:
        return message
    signed = find_signed(_get_content(message))
    opened = email.message_from_bytes(signed, policy=email.policy.default) if signed is not None else None
    if not isinstance(opened, EmailMessage):
        raise UnreadableDocument(ENCRYPTED)
    return opened


def _read_header(message: Message, name: str) -> str | None:
    try:
        return join_lines(str(message[name])) if name in message else None
    except (MessageError, ValueError, LookupError, IndexError, AttributeError):
        return None  # broken ones make the standard library fail


def _add_body(builder: TextBuilder, message: EmailMessage) -> None:
    body = message.get_body(preferencelist=("plain", "html"))
    if body is None:
        return
    data = _get_content(body)
    if body.get_content_subtype() == "html":
        add_page(builder, data)
    else:
        text = decode(data, declared=body.get_content_charset())
        if text.lstrip().startswith(PGP):
            raise UnreadableDocument(ENCRYPTED)
        is_binary = len(_BINARY.findall(text)) > MAX_BINARY * len(text)
        if not is_declared_by_itself(data) and (is_binary or is_garbled(text)):
            raise UnreadableDocument(UNKNOWN_ENCODING)
        add_text(builder, text)


def add_page(builder: TextBuilder, data: bytes) -> None:
    """A body in HTML; nothing if there is nothing to see in it."""
    if data.strip():
        html.read_into(builder, data)


def add_text(builder: TextBuilder, text: str) -> None:
    """A body in plain text."""
    for paragraph in text.split("\n\n"):
        builder.block(paragraph)


def _list_attachments(message: EmailMessage) -> list[EmailMessage]:
    if sum(1 for _ in islice(message.walk(), MAX_PARTS + 1)) > MAX_PARTS:
        raise UnreadableDocument(f"It holds more than {MAX_PARTS} parts: save the attachments one by one.")
    return list(islice(_find_attachments(message), MAX_ATTACHED))


def _find_attachments(message: EmailMessage) -> Iterator[EmailMessage]:
    """The attachments, also those inside a signature."""
    for part in message.iter_attachments():
        if isinstance(part, EmailMessage) and part.get_content_maintype() == "multipart":
            yield from _find_attachments(part)
        elif isinstance(part, EmailMessage) and part.get_content_type() not in SIGNATURES:
            yield part


def _add_part(builder: TextBuilder, part: EmailMessage, limits: Limits, level: int) -> None:
    if part.get_content_type() == "message/rfc822":
        inner = part.get_payload()
        if isinstance(inner, list) and inner and isinstance(inner[0], EmailMessage) and level <= MAX_DEPTH:
            _add_attached_message(builder, inner[0], limits, level)
        return
    if part.get_content_type() in SMIME and level <= MAX_DEPTH:
        _add_attached_message(builder, part, limits, level)
        return
    add_attachment(builder, _get_content(part), part.get_filename() or "", limits, level)


def _add_attached_message(builder: TextBuilder, message: EmailMessage, limits: Limits, level: int) -> None:
    try:
        _add_message(builder, message, limits, level)
    except UnreadableDocument as exc:
        builder.block(exc.detail)


def add_attachment(builder: TextBuilder, data: bytes, name: str, limits: Limits, level: int) -> None:
    """An attached file below its name: its text, or why it is not read; of unknown formats the name alone."""
    from ingestion.parsers.kinds import is_known, parse  # it knows this module

    builder.add_heading(level, name)
    if not is_known(name) or level > MAX_DEPTH:
        return
    try:
        builder.include(parse(data, name, limits), level + 1)
    except UnreadableDocument as exc:
        builder.block(exc.detail)


def _get_content(part: Message) -> bytes:
    payload = part.get_payload(decode=True)
    return payload if isinstance(payload, bytes) else b""
