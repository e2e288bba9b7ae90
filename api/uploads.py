"""Files on their way in: a multipart body, taken to disk as it comes, and its parts one after the other."""

import json
import re
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, TypeVar

from flask import Request
from pydantic import TypeAdapter, ValidationError
from werkzeug.datastructures import FileStorage
from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.formparser import FormDataParser
from werkzeug.http import parse_options_header

from api.dataset_schemas import MOST_METADATA_BYTES, Metadata
from api.intake import body_pieces
from api.sync_pool import SyncPool
from ingestion.parsers.kinds import is_known
from utils.errors import BadInput, TooLarge, UnreadableDocument
from utils.validation import wrong_field

MOST_FILES = 200  # in one request
LONGEST_NAME = 200
_FORM_BYTES = 4 * MOST_METADATA_BYTES  # what is no file
_AT_ONCE_BYTES = 1_048_576  # taken in memory before it goes to disk
_UNWANTED = re.compile(r"[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufffe\uffff\ud800-\udfff]")
_METADATA: TypeAdapter[dict[str, Any]] = TypeAdapter(Metadata)
T = TypeVar("T")
# For the description of the API alone: `receive` reads the body, and flask-openapi3 would read all of it into memory.
BODY: dict[str, Any] = {
    "required": True,
    "content": {
        "multipart/form-data": {
            "schema": {
                "type": "object",
                "required": ["files"],
                "properties": {
                    "files": {
                        "type": "array",
                        "description": "The files, each in a part of its own with its name.",
                        "minItems": 1,
                        "maxItems": MOST_FILES,
                        "items": {"type": "string", "format": "binary"},
                    },
                    "metadata": {
                        "type": "object",
                        "description": f"Holds for all files; at most {MOST_METADATA_BYTES:,} bytes as JSON. Searches "
                        "can be limited by its values.",
                        "additionalProperties": True,
                        "default": {},
                    },
                },
            },
            "encoding": {"metadata": {"contentType": "application/json"}},
        }
    },
}


@dataclass(frozen=True, slots=True)
class Form:
    """What an upload consists of."""

    files: list[FileStorage]
    metadata: dict[str, Any]


async def receive(request: Request, pool: SyncPool, work: Callable[[Form], T], *, folder: Path, max_bytes: int) -> T:
    """What *work* makes of the files of a multipart body, both in a thread; the body waits on disk in *folder*.

    Raises:
        BadInput: it is not multipart, or its metadata is no JSON object.
        HTTPException: it is larger than *max_bytes* (413), comes too slowly (408), or all threads are busy (503).
    """
    boundary = _boundary(request)
    pool.check_room()
    with await pool.run(lambda: tempfile.TemporaryFile(dir=folder, prefix=".upload-")) as body:
        waiting: list[bytes] = []
        size_bytes = 0
        async for piece in body_pieces(request, max_bytes=max_bytes):
            waiting.append(piece)
            size_bytes += len(piece)
            if size_bytes >= _AT_ONCE_BYTES:
                await pool.run(lambda: body.write(b"".join(waiting)))
                waiting.clear()
                size_bytes = 0
        body.write(b"".join(waiting))
        return await pool.run(lambda: _worked(body, boundary, folder, work))


def file_name(sent: str) -> str:
    """*sent* without a path and without characters that are not seen, at most 200 characters with its ending.

    Raises:
        UnreadableDocument: nothing is left of it, or files called so are not read.
    """
    name = _UNWANTED.sub("", re.split(r"[/\\]", sent)[-1]).strip(" .")
    stem, dot, ending = name.rpartition(".")
    if len(name) > LONGEST_NAME:
        name = stem[: LONGEST_NAME - len(ending) - 1] + dot + ending
    if not stem or len(name) > LONGEST_NAME:
        raise UnreadableDocument("Its name has no ending that says what it is, such as .pdf.")
    if not is_known(name):
        raise UnreadableDocument("Files of this kind are not read.")
    return name


def shown_name(sent: str) -> str:
    """*sent* as it may be told to its sender: cleaned and short."""
    return _UNWANTED.sub("", sent)[:LONGEST_NAME]


def content(file: FileStorage, max_bytes: int) -> bytes:
    """What is in it.

    Raises:
        UnreadableDocument: nothing, or too much.
    """
    data = file.stream.read(max_bytes + 1)
    return check_size(data, max_bytes)


def check_size(data: bytes, max_bytes: int) -> bytes:
    """*data* if there is some, and not too much.

    Raises:
        UnreadableDocument: there is none, or too much.
    """
    if not data:
        raise UnreadableDocument("It is empty.")
    if len(data) > max_bytes:
        raise UnreadableDocument(f"It is larger than {max_bytes / 1e6:g} MB: split it, or raise MAX_FILE_SIZE.")
    return data


def _boundary(request: Request) -> str:
    kind, options = parse_options_header(request.headers.get("Content-Type"))
    if kind.lower() != "multipart/form-data" or not options.get("boundary"):
        raise BadInput("Send the files as multipart/form-data, each in a part called files.")
    return options["boundary"]


def _worked(body: IO[bytes], boundary: str, folder: Path, work: Callable[[Form], T]) -> T:
    with _parsed(body, boundary, folder) as form:
        return work(form)


@contextmanager
def _parsed(body: IO[bytes], boundary: str, folder: Path) -> Iterator[Form]:
    opened: list[IO[bytes]] = []

    def part(*_: object, **__: object) -> IO[bytes]:
        opened.append(tempfile.TemporaryFile(dir=folder, prefix=".upload-"))  # noqa: SIM115 - closed below
        return opened[-1]

    size_bytes = body.tell()
    body.seek(0)
    parser = FormDataParser(part, max_form_memory_size=_FORM_BYTES, max_form_parts=MOST_FILES + 1, silent=False)
    try:
        try:
            _, fields, files = parser.parse(body, "multipart/form-data", size_bytes, {"boundary": boundary})
        except RequestEntityTooLarge:
            raise TooLarge(
                f"An upload has at most {MOST_FILES} files, and {_FORM_BYTES:,} bytes beside them."
            ) from None
        except ValueError as exc:
            raise BadInput("The multipart body is damaged.") from exc
        sent = fields.get("metadata") or _text(files.get("metadata"))
        yield Form([file for file in files.getlist("files") if file.filename], _metadata(sent))
    finally:
        for file in opened:
            file.close()


def _text(file: FileStorage | None) -> str | None:
    """What is in *file*: browsers give a name to every part that is sent with a type, as JSON is."""
    if file is None:
        return None
    return file.stream.read(_FORM_BYTES + 1).decode("utf-8", "replace")


def _metadata(sent: str | None) -> dict[str, Any]:
    if not sent:
        return {}
    try:
        return _METADATA.validate_python(json.loads(sent), strict=True)
    except (ValueError, RecursionError) as exc:
        said = exc.errors()[0]["msg"].removeprefix("Value error, ") if isinstance(exc, ValidationError) else str(exc)
        raise wrong_field(f"metadata is not a JSON object as it should be: {said}.", "metadata") from exc
