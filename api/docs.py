"""The API's description and two pages that show it; everything they load comes from this server."""

import json
from functools import lru_cache
from importlib.resources import files

from flask import Response, jsonify, send_from_directory
from flask_openapi3 import OpenAPI

from api.access import View, open_to_all
from api.links import make_sibling_prefix
from config import VERSION

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>Pustaka API</title><link rel="icon" href="data:,">{style}</head>
<body style="margin:0"><div id="page"></div>{scripts}</body></html>"""
_DOCUMENT = 'const url = new URL("../openapi.json", document.currentScript.src).href; '
_SWAGGER_START = _DOCUMENT + 'SwaggerUIBundle({url, dom_id: "#page", deepLinking: true, validatorUrl: null});'
_REDOC_START = _DOCUMENT + 'Redoc.init(url, {hideDownloadButton: false}, document.getElementById("page"));'
_REDOC_LOGO = "https://cdn.redoc.ly/redoc/logo-mini.svg"  # the one thing it would fetch from elsewhere
_WELCOME = {
    "message": "Answers from documents and databases, with their sources.",
    "version": VERSION,
    "docs": "/docs",
    "health": "/health",
}
_PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; "
    "font-src 'self' data:; connect-src 'self'; worker-src blob:; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'"
)


def register_docs(app: OpenAPI) -> None:
    """Add `/`, which says where to look, `/openapi.json`, `/docs` (Swagger UI) and `/redoc`."""
    folder = str(files("flask_openapi3_swagger") / "templates" / "swagger")
    script = (files("flask_openapi3_redoc") / "templates/redoc/js/redoc.standalone.js").read_text("utf-8")
    script = script.replace(_REDOC_LOGO, "data:,")
    document = lru_cache(1)(lambda: json.dumps(app.api_doc, ensure_ascii=False))  # in the order that it was written in
    _add(app, "/openapi.json", "openapi_document", lambda: Response(document(), mimetype="application/json"))
    _add(app, "/", "welcome", lambda: jsonify(_WELCOME))
    _add(app, "/docs", "docs", _show_swagger)
    _add(app, "/redoc", "redoc", _show_redoc)
    _add(app, "/docs/assets/<path:name>", "docs_asset", lambda name: _find_asset(folder, name))
    _add(app, "/docs/start.js", "docs_start", lambda: Response(_SWAGGER_START, mimetype="text/javascript"))
    _add(app, "/redoc/redoc.js", "redoc_script", lambda: Response(script, mimetype="text/javascript"))
    _add(app, "/redoc/start.js", "redoc_start", lambda: Response(_REDOC_START, mimetype="text/javascript"))


def _add(app: OpenAPI, rule: str, endpoint: str, view: View) -> None:
    app.add_url_rule(rule, endpoint, open_to_all(view))


def _show_swagger() -> Response:
    style = f'<link rel="stylesheet" href="{make_sibling_prefix()}docs/assets/css/swagger-ui.css">'
    return _make_page("docs/assets/js/swagger-ui-bundle.js", "docs/start.js", style=style)


def _show_redoc() -> Response:
    return _make_page("redoc/redoc.js", "redoc/start.js")


def _find_asset(folder: str, name: str) -> Response:
    response = send_from_directory(folder, name)
    response.headers.pop("Date", None)  # the server gives one to every answer
    return response


def _make_page(*scripts: str, style: str = "") -> Response:
    loaded = "".join(f'<script src="{make_sibling_prefix()}{path}"></script>' for path in scripts)
    page = _PAGE.format(style=style, scripts=loaded)
    return Response(page, mimetype="text/html", headers={"Content-Security-Policy": _PAGE_POLICY})
