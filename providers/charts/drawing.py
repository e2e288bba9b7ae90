"""Runs in the sandbox: draws one chart, which comes as a line of JSON, and answers with the picture's bytes."""

import json
import resource
from typing import Any, BinaryIO

import vl_convert

_VERSION = "6.4"  # of Vega-Lite
_DATA_BYTES = 1_000_000_000  # 600 MB are reserved to begin with; 500 points take 108 MB of memory
_SMALL: dict[str, Any] = {"data": {"values": [{"x": "a"}]}, "mark": "bar", "encoding": {"x": {"field": "x"}}}


def prepare() -> None:
    """Start what draws, which takes half a second and threads. Then limit what it may fill: of its address space V8
    reserves 64 GB, so that a limit of that keeps nobody from taking all memory."""
    _draw(_SMALL, 1.0)
    _, most = resource.getrlimit(resource.RLIMIT_DATA)
    limit = _DATA_BYTES if most == resource.RLIM_INFINITY else min(_DATA_BYTES, most)
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))


def serve(requests: BinaryIO, answers: BinaryIO) -> None:
    """Answer with a line that has the `size_bytes` of the picture, or what is `broken`, and the picture."""
    request = json.loads(requests.readline())
    try:
        picture, head = _draw(request["spec"], request["scale"]), {}
    except ValueError as exc:
        picture, head = b"", {"broken": str(exc)[:300]}
    answers.write(json.dumps({"size_bytes": len(picture), **head}).encode() + b"\n" + picture)


def _draw(spec: dict[str, Any], scale: float) -> bytes:
    # Nothing is fetched: no address is allowed, specs name none, and the sandbox has no network.
    picture: bytes = vl_convert.vegalite_to_png(spec, vl_version=_VERSION, scale=scale, allowed_base_urls=[])
    return picture
