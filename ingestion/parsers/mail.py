"""E-mail as mail programs save it (RFC 5322): who wrote what to whom, then what is attached."""

import email
import email.policy
from collections.abc import Callable
from email.errors import MessageError
from email.message import EmailMessage, Message

from ingestion.parsers import html
from ingestion.parsers.encoding import decode
from ingestion.parsers.parsed import Limits, ParsedDocument, TextBuilder, one_line
from utils.errors import UnreadableDocument

SHOWN = ("From", "To", "Cc", "Date")
MAX_PARTS = 200
MAX_ATTACHED = 50
MAX_DEPTH = 3  # of mails attached to mails
MEDIA_TYPE = "message/rfc822"
ParseOther = Callable[[bytes, str, Limits], ParsedDocument]


def parse(data: bytes, limits: Limits) -> ParsedDocument:
    """The message; its title is its subject."""
    message = email.message_from_bytes(data, policy=email.policy.default)
    if not isinstance(message, EmailMessage) or not any(name in message for name in ("From", "To", "Subject", "Date")):
        raise UnreadableDocument("It is not an e-mail: save it as EML again.")
    builder = TextBuilder(limits)
    _message(builder, message, limits, 1)
    return builder.build(title=_header(message, "Subject"), media_type=MEDIA_TYPE)


def _message(builder: TextBuilder, message: EmailMessage, limits: Limits, depth: int) -> None:
    builder.heading(depth, _header(message, "Subject") or "")
    builder.lines(f"{name}: {value}" for name in SHOWN if (value := _header(message, name)))
    _body(builder, message)
    for number, part in enumerate(_list_attachments(message)):
        if number < MAX_ATTACHED:
            _attachment(builder, part, limits, depth + 1)


def _header(message: Message, name: str) -> str | None:
    try:
        return one_line(str(message[name])) if name in message else None
    except (MessageError, ValueError, LookupError, IndexError, AttributeError):
        return None  # the standard library stumbles over some broken ones


def _body(builder: TextBuilder, message: EmailMessage) -> None:
    body = message.get_body(preferencelist=("plain", "html"))
    if body is None:
        return
    data = _bytes(body)
    if body.get_content_subtype() == "html":
        add_page(builder, data)
    else:
        add_text(builder, decode(data, declared=body.get_content_charset()))


def add_page(builder: TextBuilder, data: bytes) -> None:
    """A body in HTML; nothing if there is nothing to see in it."""
    if data.strip():
        html.read_into(builder, data)


def add_text(builder: TextBuilder, text: str) -> None:
    """A body in plain text."""
    for paragraph in text.split("\n\n"):
        builder.block(paragraph)


def _list_attachments(message: EmailMessage) -> list[EmailMessage]:
    if sum(1 for _, _ in zip(message.walk(), range(MAX_PARTS + 1), strict=False)) > MAX_PARTS:
        raise UnreadableDocument(f"It holds more than {MAX_PARTS} parts: save the attachments one by one.")
    return [part for part in message.iter_attachments() if isinstance(part, EmailMessage)]


def _attachment(builder: TextBuilder, part: EmailMessage, limits: Limits, level: int) -> None:
    if part.get_content_type() == "message/rfc822":
        inner = part.get_payload()
        if isinstance(inner, list) and inner and isinstance(inner[0], EmailMessage) and level <= MAX_DEPTH:
            _message(builder, inner[0], limits, level)
        return
    add_attachment(builder, _bytes(part), part.get_filename() or "", limits, level)


def add_attachment(builder: TextBuilder, data: bytes, name: str, limits: Limits, level: int) -> None:
    """An attached file below its name; of one that is not read the name alone."""
    from ingestion.parsers.kinds import is_known, parse  # it knows this module

    builder.heading(level, name)
    if not is_known(name) or level > MAX_DEPTH:
        return
    try:
        builder.include(parse(data, name, limits), level + 1)
    except UnreadableDocument:
        return


def _bytes(part: Message) -> bytes:
    payload = part.get_payload(decode=True)
    return payload if isinstance(payload, bytes) else b""
