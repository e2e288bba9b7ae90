"""`/widget.js`, which puts a chat on any page, and `/chat`, a page of its own with the same. They are plain files."""

import gzip
import json
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import Annotated

from flask import Response, request
from flask_openapi3 import OpenAPI
from pydantic import AfterValidator, BaseModel

from api.access import open_to_all
from api.links import make_sibling_prefix
from api.view import answer_browsers
from auth.principal import DEFAULT_BOT, DEFAULT_TENANT
from utils.validation import PUBLIC_ID

FOLDER = Path(__file__).parent.parent / "clients" / "widget"
_SCRIPTS = (  # in one scope, in this order
    *("service.js", "text.js", "plot.js", "chart.js", "answer.js"),
    *("files.js", "panel.js", "chat.js", "start.js"),
)
_KEPT = "public, max-age=3600"  # then it is asked for by its ETag
_PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'"
)
_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1, interactive-widget=resizes-content">
<title>Chat</title><link rel="icon" href="data:,"></head>
<body><script src="{prefix}widget.js" data-bot="{bot}" data-page></script></body></html>"""


def _check_public_id(value: str) -> str:
    if PUBLIC_ID.fullmatch(value):
        return value
    raise ValueError(
        "Name a bot by its tenant and its id, as in /chat?bot=acme/admissions, or open /chat for the default one"
    )


class ChatPageQuery(BaseModel):
    """With which bot."""

    bot: Annotated[str, AfterValidator(_check_public_id)] = f"{DEFAULT_TENANT}/{DEFAULT_BOT}"


@dataclass(frozen=True, slots=True)
class Asset:
    """A file as it is sent."""

    body: bytes
    packed: bytes
    etag: str
    media_type: str

    @classmethod
    def pack(cls, text: str, media_type: str) -> "Asset":
        """*text*, packed once for all requests."""
        body = text.encode()
        return cls(body, gzip.compress(body, 9, mtime=0), sha256(body).hexdigest()[:32], media_type)


def register_widget(app: OpenAPI) -> None:
    """Add `/widget.js`, `/widget.css`, and the page `/chat`."""
    app.add_url_rule("/widget.js", "widget_script", open_to_all(lambda: _send(make_script())))
    app.add_url_rule("/widget.css", "widget_style", open_to_all(lambda: _send(_make_style())))
    app.add_url_rule("/chat", "widget_page", answer_browsers(open_to_all(_show_page)))


@lru_cache(1)
def make_script() -> Asset:
    """The widget: its texts, its style and its parts, in a scope of their own."""
    texts = json.dumps(json.loads(_read("texts.json")), ensure_ascii=False, separators=(",", ":"))
    style = json.dumps(_read("widget.css"), ensure_ascii=False)
    parts = "".join(map(_read, _SCRIPTS))
    inside = f'"use strict";\nconst TEXTS = {texts};\nconst STYLES = {style};\n{parts}'
    return Asset.pack(f"(() => {{{inside}}})();\n", "text/javascript")


@lru_cache(1)
def _make_style() -> Asset:
    return Asset.pack(_read("widget.css"), "text/css")


def _read(name: str) -> str:
    return (FOLDER / name).read_text("utf-8")


def _send(asset: Asset) -> Response:
    """The file, packed for whoever takes that; 304 for whoever has it."""
    is_packed = request.accept_encodings["gzip"] > 0
    response = Response(asset.packed if is_packed else asset.body, mimetype=asset.media_type)
    if is_packed:
        response.headers["Content-Encoding"] = "gzip"
    response.set_etag(f"{asset.etag}-gzip" if is_packed else asset.etag)
    response.vary.add("Accept-Encoding")
    response.headers["Cache-Control"] = _KEPT
    response.headers["Cross-Origin-Resource-Policy"] = "cross-origin"  # pages of institutions load it
    response.headers["Access-Control-Allow-Origin"] = "*"  # so that a refused page sees that the service is there
    response.make_conditional(request)
    response.headers.pop("Date", None)  # the server gives one to every answer
    return response


def _show_page(query: ChatPageQuery) -> Response:
    """The chat with the bot that is named, the default one if none."""
    page = _PAGE.format(prefix=make_sibling_prefix(), bot=query.bot)  # its pattern lets nothing stand for more
    return Response(page, mimetype="text/html", headers={"Content-Security-Policy": _PAGE_POLICY})
