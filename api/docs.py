"""The API's description and two pages that show it; everything they load comes from this server."""

from importlib.resources import files

from flask import Blueprint, Response, jsonify
from flask_openapi3 import OpenAPI

from api.access import open_to_all

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>Pustaka API</title><link rel="icon" href="data:,">{style}</head>
<body style="margin:0"><div id="page"></div>{scripts}</body></html>"""
_SWAGGER_START = 'SwaggerUIBundle({url: "openapi.json", dom_id: "#page", deepLinking: true, validatorUrl: null});'
_REDOC_START = 'Redoc.init("openapi.json", {hideDownloadButton: false}, document.getElementById("page"));'
_REDOC_LOGO = "https://cdn.redoc.ly/redoc/logo-mini.svg"  # the one thing it would fetch from elsewhere
_PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; "
    "font-src 'self' data:; connect-src 'self'; worker-src blob:; base-uri 'none'; frame-ancestors 'none'"
)


def register_docs(app: OpenAPI) -> None:
    """Add `/openapi.json`, `/docs` (Swagger UI) and `/redoc`."""
    folder = str(files("flask_openapi3_swagger") / "templates" / "swagger")
    app.register_blueprint(Blueprint("swagger_assets", __name__, static_folder=folder, static_url_path="/docs/assets"))
    swagger = _page(
        ["docs/assets/js/swagger-ui-bundle.js", "docs/start.js"],
        style='<link rel="stylesheet" href="docs/assets/css/swagger-ui.css">',
    )
    redoc = _page(["redoc/redoc.js", "redoc/start.js"])
    script = (files("flask_openapi3_redoc") / "templates/redoc/js/redoc.standalone.js").read_text("utf-8")
    script = script.replace(_REDOC_LOGO, "data:,")
    _add(app, "/openapi.json", "openapi_document", lambda: jsonify(app.api_doc))
    _add(app, "/docs", "docs", lambda: _html(swagger))
    _add(app, "/redoc", "redoc", lambda: _html(redoc))
    _add(app, "/docs/start.js", "docs_start", lambda: Response(_SWAGGER_START, mimetype="text/javascript"))
    _add(app, "/redoc/redoc.js", "redoc_script", lambda: Response(script, mimetype="text/javascript"))
    _add(app, "/redoc/start.js", "redoc_start", lambda: Response(_REDOC_START, mimetype="text/javascript"))


def _add(app: OpenAPI, rule: str, endpoint: str, view: object) -> None:
    app.add_url_rule(rule, endpoint, open_to_all(view))


def _page(scripts: list[str], *, style: str = "") -> str:
    return _PAGE.format(style=style, scripts="".join(f'<script src="{path}"></script>' for path in scripts))


def _html(page: str) -> Response:
    return Response(page, mimetype="text/html", headers={"Content-Security-Policy": _PAGE_POLICY})
