"""Flask's URL adapters, made at once for a host that was seen before: most of the work is about the host alone.

They know what they have found for a path without variables, too.
"""

from dataclasses import dataclass
from typing import Any

from flask import Flask, Request
from werkzeug.routing import MapAdapter, Rule

_HOSTS = 256  # a client may send any; a service has few
_LONGEST_HOST = 255
_MATCHES = 1000  # rules are fewer, but slashes before a path are as many as a client likes
_AS_FLASK_ASKS = {"return_rule": True}

Matches = dict[tuple[str, str], Rule]


@dataclass(frozen=True, slots=True)
class _Bound:
    host: str
    server_name: str
    script_name: str
    subdomain: str | None


def remember_hosts(app: Flask) -> None:
    """Let `app.create_url_adapter` keep what it finds out of a host; its results stay the same.

    It steps aside where more than the host matters: with host or subdomain matching, TRUSTED_HOSTS, upgrades.
    """
    create, url_map, bound = app.create_url_adapter, app.url_map, dict[tuple[str | None, ...], _Bound]()
    matches = Matches()

    def create_url_adapter(request: Request | None) -> MapAdapter | None:
        if request is None or not _matches_hosts(app, request):
            return create(request)
        environ = request.environ
        scheme, script_name = environ["wsgi.url_scheme"], environ["SCRIPT_NAME"]
        key = (environ.get("HTTP_HOST"), environ["SERVER_NAME"], environ["SERVER_PORT"], scheme, script_name)
        cached = bound.get(key)
        if cached is None:
            adapter = create(request)
            if adapter is not None and len(request.host) <= _LONGEST_HOST:
                if len(bound) >= _HOSTS:
                    bound.clear()
                bound[key] = _Bound(request.host, adapter.server_name, adapter.script_name, adapter.subdomain)
            return adapter
        request.host = cached.host
        where = (cached.server_name, cached.script_name, cached.subdomain, scheme)
        path, query = _read_text(environ["PATH_INFO"]), _read_text(environ["QUERY_STRING"])
        adapter = _RememberingAdapter(url_map, *where, path, environ["REQUEST_METHOD"], query)
        adapter.matches = matches
        return adapter

    app.create_url_adapter = create_url_adapter  # type: ignore[method-assign] # a method to be overridden


class _RememberingAdapter(MapAdapter):
    """One that looks up what was found before; rules do not change any more when requests are served."""

    matches: Matches

    def match(self, *args: Any, **options: Any) -> Any:
        """See werkzeug."""
        if args or options != _AS_FLASK_ASKS:
            return super().match(*args, **options)
        key = self.path_info, self.default_method
        rule = self.matches.get(key)
        if rule is not None:
            return rule, {}
        rule, values = super().match(return_rule=True)
        if not values and rule.redirect_to is None and len(self.matches) < _MATCHES:
            self.matches[key] = rule
        return rule, values


def _read_text(from_wsgi: str) -> str:
    return from_wsgi if from_wsgi.isascii() else from_wsgi.encode("latin-1").decode(errors="replace")


def _matches_hosts(app: Flask, request: Request) -> bool:
    config = app.config
    return not (
        app.url_map.host_matching
        or app.subdomain_matching
        or "HTTP_UPGRADE" in request.environ
        or config["TRUSTED_HOSTS"] is not None
        or config["SERVER_NAME"] is not None
    )
