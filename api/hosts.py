"""Which names of the service are believed: the Host header is the caller's to write, and links are made from it."""

import re
from collections.abc import Callable, Sequence

from flask import Flask
from flask.globals import request_ctx

from server.admission import is_probe
from utils.errors import BadInput, UntrustedHost

# RFC 9112, 3.2, as far as names of hosts go that somebody has.
_HOST = re.compile(r"([A-Za-z0-9._-]{1,255}|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{0,5})?", re.ASCII)
_THIS_MACHINE = frozenset({"localhost", "127.0.0.1", "[::1]"})  # they lead nobody anywhere but to themselves
_REMEMBERED = 256  # clients may send any


def register_hosts(app: Flask, trusted: Sequence[str]) -> None:
    """Refuse requests whose Host is malformed, or is none of *trusted*, where there are any.

    An entry is a name, an address, or `*.example.org` for all names below it. X-Forwarded-Host is never read.
    """
    app.before_request(_make_check(trusted))


def _make_check(trusted: Sequence[str]) -> Callable[[], None]:
    exact = _THIS_MACHINE | {name for name in trusted if not name.startswith("*.")}
    endings = tuple(name[1:] for name in trusted if name.startswith("*."))
    seen: set[str] = set()  # Host headers that were let through

    def check() -> None:
        request = request_ctx.request
        host = request.environ.get("HTTP_HOST")
        if host is None or host in seen:  # HTTP/1.0 has none: what is used is the name that the server listens on
            return
        match = _HOST.fullmatch(host)
        if match is None:
            raise BadInput("The Host header is not a host name with a port.")
        name = match[1].lower().rstrip(".")
        if not trusted or name in exact or name.endswith(endings):
            if len(seen) < _REMEMBERED:
                seen.add(host)
        elif not is_probe(request.path):  # those come by an address instead of a name, and their answers hold no link
            raise UntrustedHost("This service is not known by the name in the Host header.")

    return check
