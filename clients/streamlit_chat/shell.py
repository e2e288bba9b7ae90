"""What stands in the page before Streamlit's scripts have come, which are 3 MB: its name, and the question's box."""

import re
from collections.abc import Sequence
from html import escape
from pathlib import Path
from string import Template

from starlette.datastructures import Headers
from starlette.responses import HTMLResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from clients.streamlit_chat.texts import LANGUAGES, read_texts

_HERE = Path(__file__).parent
_MARKUP = Template((_HERE / "shell.html").read_text("utf-8"))
SHELL_SCRIPT = "\n" + (_HERE / "shell.js").read_text("utf-8")
_ROOT = '<div id="root"></div>'
_TITLE = re.compile(r"<title>[^<]*</title>")
_STYLE_SHEET = re.compile(r'<link rel="stylesheet"[^>]*>')
# They tell of Streamlit's own file, and would let a browser keep one with another name or language in it.
_OF_THE_FILE = frozenset(("content-length", "content-encoding", "etag", "last-modified"))
_CONDITIONS = frozenset((b"accept-encoding", b"if-none-match", b"if-modified-since", b"range"))


class Shell:
    """Puts it into the page. Where Streamlit's page has another form than expected, that is shown as it is.

    Args:
        title: the page's name.
    """

    def __init__(self, app: ASGIApp, *, title: str) -> None:
        self._app, self._title = app, title

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer as Streamlit does, with more in its page."""
        if scope["type"] != "http" or scope["path"] != "/" or scope["method"] != "GET":
            await self._app(scope, receive, send)
            return
        start: Message = {}
        body = b""

        async def collect(message: Message) -> None:
            nonlocal start, body
            if message["type"] == "http.response.start":
                start = message
            elif message["type"] == "http.response.body":
                body += message.get("body", b"")

        headers = [(name, value) for name, value in scope["headers"] if name not in _CONDITIONS]
        await self._app({**scope, "headers": headers}, receive, collect)
        asked = Headers(scope=scope).get("accept-language", "")
        page = add_shell(body.decode("utf-8"), self._title, choose_language(asked))
        response = HTMLResponse(page, status_code=start["status"])
        kept = [(name, value) for name, value in start["headers"] if name.decode("latin-1") not in _OF_THE_FILE]
        response.raw_headers = [*kept, (b"content-length", str(len(response.body)).encode())]
        await response(scope, receive, send)


def choose_language(asked: str, known: Sequence[str] = LANGUAGES) -> str:
    """The first language of an Accept-Language header, which browsers order by preference; else English."""
    first = asked.strip()[:2].lower()
    return first if first in known else known[0]


def add_shell(page: str, title: str, language: str) -> str:
    """*page* of Streamlit with the shell; its style sheet comes after: nothing below one is painted before it."""
    if _ROOT not in page:
        return page
    shell = _MARKUP.substitute(title=escape(title), language=language, ask=escape(read_texts(language)["ask"]))
    styles = "".join(_STYLE_SHEET.findall(page))
    page = _TITLE.sub(lambda _: f"<title>{escape(title)}</title>", _STYLE_SHEET.sub("", page), count=1)
    return page.replace(_ROOT, f"{_ROOT}{shell}<script>{SHELL_SCRIPT}</script>{styles}")
