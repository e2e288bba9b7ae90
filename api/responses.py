"""Answers: a model as JSON, work that goes on, a file."""

from typing import BinaryIO

from flask import Request, Response, jsonify
from pydantic import BaseModel
from werkzeug.wsgi import FileWrapper

_PIECE_BYTES = 16_384  # what each of many slow readers holds a few times over; at 64 KB, they take twice as much memory


def respond(
    body: BaseModel,
    status: int = 200,
    *,
    etag: str | None = None,
    location: str | None = None,
    is_secret: bool = False,
) -> Response:
    """*body* as JSON, with the tag of what it shows, and the address of what was made.

    *is_secret*: it is told once, and stored nowhere, not for a request that comes again either.
    """
    response = jsonify(body.model_dump(exclude_unset=True))
    response.status_code = status
    if etag is not None:
        response.headers["ETag"] = etag
    if location is not None:
        response.headers["Location"] = location
    if is_secret:
        response.cache_control.no_store = True
    return response


def stream_file(request: Request, file: BinaryIO, *, etag: str) -> Response:
    """*file* as a download, which closes it; *etag* says that bytes are the same, such as their hash.

    It is read from disk as its reader takes it, whole or a range of it (RFC 9110, 14). One range is served, as whoever
    resumes a download asks for it. Any other `Range` is ignored, as it may be.

    Raises:
        RequestedRangeNotSatisfiable: the range begins behind the end (416).
    """
    size_bytes = file.seek(0, 2)
    file.seek(0)
    response = Response(FileWrapper(file, _PIECE_BYTES), mimetype="application/octet-stream", direct_passthrough=True)
    response.content_length = size_bytes
    response.set_etag(etag)
    try:
        return _make_conditional(response, request, size_bytes)
    except BaseException:
        file.close()
        raise


def _make_conditional(response: Response, request: Request, size_bytes: int) -> Response:
    requested = request.range
    is_one_range = requested is not None and requested.units == "bytes" and len(requested.ranges) == 1
    response.make_conditional(request, accept_ranges=is_one_range, complete_length=size_bytes)
    response.accept_ranges = "bytes"
    return response
