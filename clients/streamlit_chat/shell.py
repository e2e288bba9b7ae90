"""What stands in the page before its scripts have come: name, skeleton and a question's box that can be typed in.

Streamlit's page is empty until 600 KB of scripts have come and run. The shell lies over it until the page is drawn;
shell.js then hands over what was typed in it, or sends what was sent.
"""

import re
from functools import lru_cache
from html import escape
from pathlib import Path
from string import Template
from urllib.parse import parse_qs

import streamlit
from starlette.datastructures import MutableHeaders
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Receive, Scope, Send

from clients.streamlit_chat.fetching import CONDITIONS, Fetched, fetch, pack, takes_gzip
from clients.streamlit_chat.settings import PageSettings
from clients.streamlit_chat.talk import LONGEST_QUESTION, PARAMETER, is_ours
from clients.streamlit_chat.texts import LANGUAGE_COOKIE, choose_language, read_texts

PAGE = Path(streamlit.__file__).parent / "static" / "index.html"
_HERE = Path(__file__).parent
SCRIPT = _HERE.joinpath("shell.js").read_text("utf-8")
_STYLE = _HERE.joinpath("shell.css").read_text("utf-8")
_SHELL = Template(_HERE.joinpath("shell.html").read_text("utf-8"))
_BOX = Template(_HERE.joinpath("shell_box.html").read_text("utf-8"))
_STYLE_SHEET = re.compile(r'<link rel="stylesheet"[^<>]*+>')
_TITLE = re.compile(r"<title>[^<]*+</title>")
_NO_SCRIPT = re.compile(r"<noscript>[^<]*+(?:<(?!/?noscript>)[^<]*+)*+</noscript>")
# For browsers that do not know `scripting` in a media query.
_WITHOUT_SCRIPT = """<noscript><style>
#pustaka-shell .no-script { display: block; }
#pustaka-shell :is(form, .skeleton) { display: none; }
</style></noscript>"""
_DESCRIPTION = re.compile(r'<link rel="service-desc"[^<>]*+>')  # of paths that are closed


class PageShell:
    """Sends Streamlit's page with the shell in it."""

    def __init__(self, app: ASGIApp, *, settings: PageSettings) -> None:
        self._app, self._settings = app, settings
        # Another version of Streamlit may have another page: the start fails then, and not each visit.
        put_shell_into(PAGE.read_text("utf-8"), settings, choose_language("", ""), has_talk=False)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Put the shell into the page; pass everything else on."""
        if scope["type"] != "http" or scope["method"] != "GET" or scope["path"] != "/":
            await self._app(scope, receive, send)
            return
        page = await fetch(self._app, scope, without=CONDITIONS)
        if page.start["status"] == 200:
            page = self._change(page, scope)
        await page.send(send)

    def _change(self, page: Fetched, scope: Scope) -> Fetched:
        asked = HTTPConnection(scope)
        language = choose_language(asked.cookies.get(LANGUAGE_COOKIE), asked.headers.get("accept-language"))
        has_talk = self._settings.local_history != "off" and _names_conversation(scope)
        body = put_shell_into(page.body.decode(), self._settings, language, has_talk=has_talk).encode()
        headers = MutableHeaders(
            raw=[each for each in page.start["headers"] if each[0] not in (b"etag", b"last-modified")]
        )
        headers["content-length"] = str(len(body))
        headers.add_vary_header("Accept-Language, Cookie")
        changed = Fetched({**page.start, "headers": headers.raw}, body)
        return pack(changed) if takes_gzip(scope) else changed


def _names_conversation(scope: Scope) -> bool:
    values = parse_qs(scope["query_string"].decode("latin-1")).get(PARAMETER, [])
    return any(is_ours(value) for value in values)


@lru_cache(maxsize=16)
def put_shell_into(page: str, settings: PageSettings, language: str, *, has_talk: bool) -> str:
    """Streamlit's *page* with the shell at its end, in that *language*; *has_talk*: a conversation is to be shown.

    Style sheets come behind the shell, which is painted without them: they hold up what follows them alone.

    Raises:
        RuntimeError: the page has no end.
    """
    texts = {name: escape(text) for name, text in read_texts(language).items()}
    is_closed = settings.sign_in is not None and settings.sign_in.is_required
    shell = _SHELL.substitute(
        style=_STYLE,
        script=SCRIPT,
        title=escape(settings.title),
        kind="talk" if has_talk else "beginning",
        side="none" if settings.local_history == "off" else "left",
        # Where one may sign in, page.js knows whose they are.
        drafts="none" if settings.local_history == "off" or settings.sign_in else "kept",
        box="" if is_closed else _BOX.substitute(texts, longest=LONGEST_QUESTION),
        loading=texts["shell_loading"],
        late=texts["shell_late"],
        reload=texts["shell_reload"],
        no_script=texts["shell_no_script"],
    )
    sheets = "".join(_STYLE_SHEET.findall(page))
    changed = _DESCRIPTION.sub("", _STYLE_SHEET.sub("", page))
    changed = _TITLE.sub(lambda _: f"<title>{escape(settings.title)}</title>", changed, count=1)
    changed = _NO_SCRIPT.sub(lambda _: _WITHOUT_SCRIPT, changed, count=1)
    changed = changed.replace('<html lang="en">', f'<html lang="{language}">', 1)
    head, end, rest = changed.rpartition("</body>")
    if not end:
        raise RuntimeError("There is no </body> in the page, before which the shell stands.")
    return f"{head}{shell}{sheets}{end}{rest}"
