"""CORS headers: what the memory gives is what Flask-CORS would have added."""

import itertools

import pytest
from flask import Flask, Response
from flask_cors import CORS

from api.middleware import _REQUEST_HEADERS, _RESPONSE_HEADERS, register_middleware
from api.problems import register_problems

ALLOWED = ["https://a.example", "https://b.example"]
ORIGINS = [None, "https://a.example", "HTTPS://B.example", "https://evil.example", "null", "x" * 300, ""]


def make_app() -> Flask:
    app = Flask("cors")

    @app.route("/", methods=["GET", "POST"])
    def show() -> Response:
        return Response("ok", headers={"Vary": "Accept"})

    return app


def cors_of(app: Flask, method: str, path: str, headers: dict[str, str]) -> list[tuple[str, str]]:
    answer = app.test_client().open(path, method=method, headers=headers)
    return sorted(pair for pair in answer.headers if pair[0].startswith("Access-Control") or pair[0] == "Vary")


@pytest.mark.parametrize("origins", [["*"], ALLOWED[:1], ALLOWED, [r"https://.*\.example"]], ids=str)
def test_an_origin_gets_the_headers_flask_cors_gives_it_each_time(origins: list[str]) -> None:
    ours, plain = make_app(), make_app()
    register_problems(ours)
    register_middleware(ours, cors_origins=origins)
    CORS(plain, origins=origins, allow_headers=_REQUEST_HEADERS, expose_headers=_RESPONSE_HEADERS, max_age=600)
    private = {"Access-Control-Request-Private-Network": "true"}
    preflight = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "X-API-Key"}
    for _ in range(2):
        for origin, method, more in itertools.product(ORIGINS, ("GET", "POST", "OPTIONS"), ({}, private, preflight)):
            headers = {**more, **({} if origin is None else {"Origin": origin})}
            for path in ("/", "/nowhere"):
                asked = (method, path, headers)
                assert cors_of(ours, *asked) == cors_of(plain, *asked), asked
