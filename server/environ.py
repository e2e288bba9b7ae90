"""The WSGI environment of a request, without its body."""

import sys
from functools import lru_cache
from wsgiref.types import WSGIEnvironment

from asgiref.typing import HTTPScope

_MAX_OF_ONE_NAME = 100


def make_environ(scope: HTTPScope) -> WSGIEnvironment:
    """What asgiref's `build_environ` makes of *scope*, without its per-request objects.

    Raises:
        ValueError: there are too many headers of one name.
    """
    root_path = scope.get("root_path", "")
    path = scope["path"].removeprefix(root_path)
    host, port = scope.get("server") or ("localhost", 80)
    client = scope.get("client")
    environ: WSGIEnvironment = {
        "REQUEST_METHOD": scope["method"],
        "SCRIPT_NAME": _encode_for_wsgi(root_path),
        "PATH_INFO": _encode_for_wsgi(path),
        "QUERY_STRING": scope["query_string"].decode("latin-1"),
        "SERVER_PROTOCOL": f"HTTP/{scope['http_version']}",
        "SERVER_NAME": host,
        "SERVER_PORT": str(port),
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": scope.get("scheme", "http"),
        "wsgi.input": None,
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
        "wsgi.input_terminated": True,  # else Werkzeug sees an empty body where there is no Content-Length
    }
    if client:
        environ["REMOTE_ADDR"] = client[0]
    _add_headers(environ, scope)
    return environ


def _add_headers(environ: WSGIEnvironment, scope: HTTPScope) -> None:
    """Add the headers but those that WSGI cannot tell from others, and cookies in one (RFC 9113, 8.2.3).

    `X_Request_Id` would become the same variable as `X-Request-Id`, past a proxy that removes or sets the latter.

    Raises:
        ValueError: there are too many of one name.
    """
    repeated: dict[str, int] = {}
    for name, value in scope["headers"]:
        if b"_" in name:
            continue
        variable, text = _make_variable(name), value.decode("latin-1")
        if variable not in environ:
            environ[variable] = text
            continue
        repeated[variable] = repeated.get(variable, 0) + 1
        if repeated[variable] >= _MAX_OF_ONE_NAME:
            raise ValueError(variable)
        environ[variable] += ("; " if variable == "HTTP_COOKIE" else ",") + text


@lru_cache(1024)
def _make_variable(header: bytes) -> str:
    name = header.decode("latin-1").upper().replace("-", "_")
    return name if name in ("CONTENT_LENGTH", "CONTENT_TYPE") else f"HTTP_{name}"


def _encode_for_wsgi(text: str) -> str:
    return text if text.isascii() else text.encode().decode("latin-1")
