"""Files on their way in: what an upload consists of, and what they may be called."""

import json
import re
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from hashlib import blake2b
from typing import Any

from flask import Request, Response, request
from pydantic import TypeAdapter, ValidationError
from werkzeug.http import parse_options_header

from api.dataset_schemas import ExternalId
from api.metadata import MAX_METADATA_BYTES, DocumentMetadata
from api.multipart import MAX_FILES, UploadedFile, UploadParser
from api.repeats import answer_once
from api.services import services
from auth.principal import Principal
from domain.uploads import LONGEST_EXTERNAL_ID
from ingestion.parsers.kinds import is_known
from server.request_body import read_pieces
from server.sync_pool import get_sync_pool
from utils.errors import BadInput, TooLarge, UnreadableDocument, UnsupportedMediaType
from utils.strict_json import read_json
from utils.validation import describe_error, refuse_field

LONGEST_NAME = 200
MULTIPART = "multipart/form-data"
_AT_ONCE_BYTES = 262_144  # taken in memory before they are parsed, in a thread
_UNWANTED = re.compile(
    r"[\x00-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufffe\uffff\ud800-\udfff\U000e0000-\U000e007f]"
)
_METADATA: TypeAdapter[dict[str, Any]] = TypeAdapter(DocumentMetadata)
_EXTERNAL_ID: TypeAdapter[str] = TypeAdapter(ExternalId)


def describe_form(properties: dict[str, Any], *, required: list[str], **encoding: dict[str, str]) -> dict[str, Any]:
    """A multipart body with these parts, and the *encoding* of some, for the description of the API alone.

    `receive` reads the body; flask-openapi3 would read all of it into memory.
    """
    schema = {"type": "object", "required": required, "properties": properties}
    form = {"schema": schema, "encoding": encoding} if encoding else {"schema": schema}
    return {"required": True, "content": {MULTIPART: form}}


def describe_files(description: str, *, most: int) -> dict[str, Any]:
    """The part `files` of such a body, with at least one file."""
    file = {"type": "string", "format": "binary"}
    return {"type": "array", "description": description, "minItems": 1, "maxItems": most, "items": file}


BODY = describe_form(
    {
        "files": describe_files("The files, each in a part of its own with its name.", most=MAX_FILES),
        "metadata": {
            "type": "object",
            "description": f"Holds for all files; at most {MAX_METADATA_BYTES:,} bytes as JSON. Searches "
            "can be limited by its values. `valid_from`, `valid_until` and `precedence` say when the "
            "documents hold, and which of two wins.",
            "additionalProperties": True,
            "default": {},
        },
        "external_ids": {
            "type": "array",
            "description": "What you call each of the documents, in the order of the files: one for each, "
            "or none at all. Empty: this file has none.",
            "maxItems": MAX_FILES,
            "items": {"type": "string", "maxLength": LONGEST_EXTERNAL_ID},
        },
    },
    required=["files"],
    metadata={"contentType": "application/json"},
)


@dataclass(frozen=True, slots=True)
class Form:
    """What an upload consists of; `external_ids` are those of the files, in their order. `texts`: see `receive`."""

    files: list[UploadedFile]
    metadata: dict[str, Any]
    external_ids: list[str | None]
    texts: dict[str, str] = field(default_factory=dict)


async def receive(
    ctx: Principal,
    work: Callable[[Form], Awaitable[Response]],
    *,
    text_fields: Collection[str] = (),
    max_bytes: int | None = None,
    file_field: str = "files",
) -> Response:
    """What *work* answers to the multipart body of this request, see `open_form`; once, see `answer_once`."""
    async with open_form(ctx, text_fields=text_fields, max_bytes=max_bytes, file_field=file_field) as form:
        return await answer_once(ctx, partial(work, form), partial(_compute_fingerprint, form))


@asynccontextmanager
async def open_form(
    ctx: Principal, *, text_fields: Collection[str] = (), max_bytes: int | None = None, file_field: str = "files"
) -> AsyncIterator[Form]:
    """The multipart body of this request, whose files wait in one file on disk to the end of the block.

    Parts that *text_fields* name are its `texts`, those called *file_field* its files. *max_bytes*: of the whole body,
    where less than MAX_UPLOAD_SIZE.

    Raises:
        UnsupportedMediaType: it is not multipart.
        BadInput: it is damaged, its metadata is no JSON object, or its external ids do not fit its files.
        TooLarge: it has too many parts.
        NotEnoughSpace: there is no room for it, or no longer.
        HTTPException: it is larger than MAX_UPLOAD_SIZE (413), comes too slowly (408), or all threads are busy (503).
    """
    boundary, pool, space = _read_boundary(request, file_field), get_sync_pool(), services().upload_space
    limit_bytes, max_file_bytes = services().settings.max_upload_size, services().settings.max_file_size
    limit_bytes = limit_bytes if max_bytes is None else min(limit_bytes, max_bytes)
    pool.check_room()
    announced_bytes = request.content_length
    # One file for all: an upload of many small ones that comes slowly must not hold a descriptor for each.
    with (
        space.book(ctx.tenant_id, announced_bytes and min(announced_bytes, limit_bytes)) as booking,
        await pool.run(lambda: tempfile.TemporaryFile(dir=space.disk.folder, prefix=".upload-")) as spool,
    ):
        parser = UploadParser(
            boundary, spool, max_file_bytes=max_file_bytes, text_fields=text_fields, file_field=file_field
        )
        async for pieces in _gather_pieces(request, limit_bytes):
            space.check_next(booking, len(pieces))
            await pool.run(partial(parser.write, pieces))
        yield await pool.run(lambda: _make_form(parser))


async def _gather_pieces(request: Request, max_bytes: int) -> AsyncIterator[bytes]:
    waiting = bytearray()
    async for piece in read_pieces(request, max_bytes=max_bytes):
        waiting += piece
        if len(waiting) >= _AT_ONCE_BYTES:
            yield bytes(waiting)
            waiting.clear()
    yield bytes(waiting)


def _compute_fingerprint(form: Form) -> bytes:
    """What is the same of two uploads that consist of the same; blocking."""
    digest = blake2b()
    about = [form.metadata, form.external_ids, form.texts, [(file.name, file.size_bytes) for file in form.files]]
    digest.update(json.dumps(about, sort_keys=True).encode())
    for file in form.files:
        digest.update(file.read())
    return digest.digest()


def clean_file_name(sent: str) -> str:
    """*sent* without a path and without characters that are not seen, at most 200 characters with its ending.

    Raises:
        UnreadableDocument: nothing is left of it, or files called so are not read.
    """
    name = _UNWANTED.sub("", re.split(r"[/\\]", sent)[-1]).strip(" .")
    stem, dot, ending = name.rpartition(".")
    if len(name) > LONGEST_NAME:
        name = stem[: LONGEST_NAME - len(ending) - 1] + dot + ending
    if not stem or len(name) > LONGEST_NAME:
        raise UnreadableDocument("Its name has no file extension, such as .pdf.")
    if not is_known(name):
        raise UnreadableDocument("Files of this kind are not read.")
    return name


def make_text_file_name(title: str) -> str:
    """What a text is called as a file: as much of its title as a name can have."""
    try:
        return clean_file_name(re.sub(r"[/\\]", " ", title) + ".txt")
    except UnreadableDocument:
        return "text.txt"


def clean_name(sent: str) -> str:
    """*sent* as it may be told to its sender: cleaned and short."""
    return _UNWANTED.sub("", sent)[:LONGEST_NAME]


def check_size(data: bytes, max_bytes: int) -> bytes:
    """*data* if there is some, and not too much.

    Raises:
        UnreadableDocument: there is none.
        TooLarge: there is too much.
    """
    if not data:
        raise UnreadableDocument("It is empty.")
    if len(data) > max_bytes:
        raise TooLarge(f"It is larger than {max_bytes / 1e6:g} MB: split it.")
    return data


def _read_boundary(request: Request, file_field: str) -> str:
    kind, options = parse_options_header(request.headers.get("Content-Type"))
    if kind.lower() != MULTIPART:
        detail = f"Send the files as {MULTIPART}, each in a part called {file_field}."
        raise UnsupportedMediaType(detail, headers={"Accept": MULTIPART})
    if not options.get("boundary"):
        raise BadInput("The Content-Type names no boundary between the parts.")
    return options["boundary"]


def _make_form(parser: UploadParser) -> Form:
    parser.finish()
    texts = {name: _read_text(name, bytes(sent)) for name, sent in parser.texts.items()}
    return Form(parser.files, _read_metadata(bytes(parser.metadata)), _read_external_ids(parser), texts)


def _read_text(name: str, sent: bytes) -> str:
    try:
        return sent.decode()
    except UnicodeDecodeError as exc:
        raise refuse_field(f"{name}: Has to be UTF-8.", name) from exc


def _read_metadata(sent: bytes) -> dict[str, Any]:
    if not sent:
        return {}
    try:
        return _METADATA.validate_python(read_json(sent), strict=True)
    except BadInput as exc:
        raise refuse_field(str(exc), "metadata") from exc
    except ValueError as exc:
        reason = (
            describe_error(exc.errors()[0]) if isinstance(exc, ValidationError) else f"Has to be a JSON object: {exc}"
        )
        raise refuse_field(f"metadata: {reason}.", "metadata") from exc


def _read_external_ids(parser: UploadParser) -> list[str | None]:
    sent = parser.external_ids
    if not sent:
        return [None] * len(parser.files)
    if len(sent) != len(parser.files):
        reason = f"There are {len(parser.files)} files, and {len(sent)} external ids: send as many, in the same order."
        raise refuse_field(reason, "external_ids")
    return [_read_external_id(bytes(one)) if one else None for one in sent]


def _read_external_id(sent: bytes) -> str:
    try:
        return _EXTERNAL_ID.validate_python(sent.decode())
    except ValueError as exc:
        reason = describe_error(exc.errors()[0]) if isinstance(exc, ValidationError) else "Has to be UTF-8"
        raise refuse_field(f"external_ids: {reason}.", "external_ids") from exc
