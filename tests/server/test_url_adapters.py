"""What an app finds out of a request's host stays what Flask alone would find, also for a host seen before."""

from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask, Request, url_for
from werkzeug.routing import MapAdapter

from server.url_adapters import remember_hosts

HOSTS = [
    "a.example",
    "A.example",
    "a.example:80",
    "a.example:443",
    "b.example:8000",
    "[::1]:90",
    "münchen.example",
    "x y",
]
HOSTS += ["." * 300, "-" * 70 + ".example", "", "sub.a.example"]
PLAIN = ["/folder/", "///folder/", "/old", "/pages/", "/pages/page/1", "/pages/page/2"]
VARIANTS: list[dict[str, Any]] = [{}, {"TRUSTED_HOSTS": ["a.example"]}, {"SERVER_NAME": "a.example"}]


def make_app(**config: Any) -> Flask:
    app = Flask("hosts")
    app.config.update(config)
    app.add_url_rule("/there/<name>", "there")
    app.add_url_rule("/folder/", "folder")
    app.add_url_rule("/old", "old", redirect_to="/folder/")
    app.add_url_rule("/pages/", "pages", defaults={"page": 1})
    app.add_url_rule("/pages/page/<int:page>", "pages")
    return app


def told(app: Flask, path: str, **environ: str) -> list[object]:
    """All that comes of a request's host, path and query; refusals by name."""
    facts: list[Callable[[], object]]
    with app.test_request_context(path, environ_overrides=environ) as context:
        request = context.request
        adapter = context.url_adapter
        facts = [lambda: request.host, lambda: request.url, lambda: url_for("there", name="ü", _external=True)]
        facts += [
            lambda: vars(adapter).keys() and {k: v for k, v in vars(adapter).items() if k not in ("map", "matches")}
        ]
        facts += [lambda: (request.endpoint, request.view_args), lambda: repr(request.routing_exception)]
        facts += [lambda: getattr(request.routing_exception, "new_url", None)]
        return [_outcome(fact) for fact in facts]


def _outcome(fact: Callable[[], object]) -> object:
    try:
        return fact()
    except Exception as exc:
        return type(exc)


@pytest.mark.parametrize("config", VARIANTS, ids=str)
@pytest.mark.parametrize("path", ["/there/x", "/folder?q=%C3%BC&r=%FF", "/nowhere", "///there//y", "/", *PLAIN])
def test_a_request_is_seen_as_by_flask_alone(path: str, config: dict[str, Any]) -> None:
    plain, remembering = make_app(**config), make_app(**config)
    remember_hosts(remembering)
    for _ in range(2):
        for host in HOSTS:
            for scheme in ("http", "https"):
                for root in ("", "/mounted"):
                    given = {"HTTP_HOST": host, "wsgi.url_scheme": scheme, "SCRIPT_NAME": root}
                    assert told(remembering, path, **given) == told(plain, path, **given), given


@pytest.mark.parametrize("path", PLAIN)
def test_methods_of_a_path_are_told_apart(path: str) -> None:
    plain, remembering = make_app(), make_app()
    remember_hosts(remembering)
    for method in ("GET", "POST", "HEAD", "OPTIONS", "GET", "POST", "ODD"):
        given = {"HTTP_HOST": "a.example", "REQUEST_METHOD": method}
        assert told(remembering, path, **given) == told(plain, path, **given), method


def test_the_work_on_a_host_is_done_once(monkeypatch: pytest.MonkeyPatch) -> None:
    app, asked = make_app(), list[str]()
    create = app.create_url_adapter

    def counted(request: Request | None) -> MapAdapter | None:
        if request is not None:
            asked.append(request.environ["HTTP_HOST"])
        return create(request)

    monkeypatch.setattr(app, "create_url_adapter", counted)
    remember_hosts(app)
    for host in ("a.example", "b.example", "a.example", "a.example"):
        assert told(app, "/there/x", HTTP_HOST=host)[0] == host
    assert asked == ["a.example", "b.example"]
