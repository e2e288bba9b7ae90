"""The page of a shared conversation as HTML: questions, and answers with the quotes they rest on; no script.

Nothing that was asked or answered is markup there but what Markdown makes of an answer, without its links and images:
what a model wrote leads nowhere from an address of ours.
"""

import json
import re
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import Any
from urllib.parse import urlencode

from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token
from markdown_it.utils import EnvType, OptionsDict
from markupsafe import Markup

from api.view_page import render_page
from domain.conversation_shares import SharedConversation

LANGUAGES = ("en", "es", "id")
_RULES_OFF = ["image", "link", "autolink", "reference"]
_MARK = re.compile(r"\[(\d{1,3})\]")
_FIGURES = "text-align:right"  # the page's policy allows no styles within


class _Renderer(RendererHTML):
    """Leads from a mark to its source, and aligns figures by a class. The environment has `turn` and `source_count`."""

    def text(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: EnvType) -> str:
        """Text between other Markdown, with its marks as links."""

        def link(mark: re.Match[str]) -> str:
            has_source = int(mark[1]) <= env["source_count"]
            return f'<a href="#source-{env["turn"]}-{mark[1]}">{mark[0]}</a>' if has_source else mark[0]

        return _MARK.sub(link, super().text(tokens, idx, options, env))

    def renderToken(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: EnvType) -> str:
        """A beginning or an end, as of a cell."""
        if tokens[idx].attrs.pop("style", "") == _FIGURES:
            tokens[idx].attrSet("class", "figures")
        return super().renderToken(tokens, idx, options, env)


_PARSER = MarkdownIt("commonmark", {"html": False}, renderer_cls=_Renderer).enable("table").disable(_RULES_OFF)


def render_shared(
    shared: SharedConversation, answered: Sequence[Mapping[str, Any]], *, token: str, language: str
) -> str:
    """The page in one of `LANGUAGES`.

    *answered*: the texts of its turns, with a `link` in citations that may be opened.
    """
    return render_page(
        "shared.html",
        title=shared.title or _read_texts()[language]["title"],
        language=language,
        says=_read_texts()[language],
        shared=shared,
        turns=[_describe(texts, number) for number, texts in enumerate(answered, 1)],
        earlier=_make_address(token, shared.page - 1) if shared.page > 1 else None,
        later=_make_address(token, shared.page + 1) if shared.page < shared.pages else None,
    )


def _describe(texts: Mapping[str, Any], number: int) -> dict[str, Any]:
    citations = list({one["number"]: one for one in texts["citations"]}.values())
    numbers = {one["number"]: place for place, one in enumerate(citations, 1)}
    answer = texts["answer"]
    return {
        "number": number,
        "question": texts["question"],
        "answer": None if answer is None else _render_answer(answer, numbers, number),
        "sources": [_describe_source(one) for one in citations],
        "is_weak": texts["details"].get("confidence") == "low" or texts["details"].get("answered") is False,
    }


def _describe_source(citation: Mapping[str, Any]) -> dict[str, Any]:
    """What the page says of a source; of a data source its name alone, as its query and rows are not shared."""
    is_document = not citation.get("query")
    fields = {name: citation.get(name) for name in ("title", "page", "language")}
    return {**fields, "quote": citation["quote"] if is_document else "", "link": citation.get("link")}


def _render_answer(text: str, numbers: Mapping[int, int], turn: int) -> Markup:
    """*text* with its marks numbered from 1, in the order of the sources."""
    renumbered = _MARK.sub(lambda found: f"[{numbers.get(int(found[1]), found[1])}]", text)
    return Markup(_PARSER.render(renumbered, {"turn": turn, "source_count": len(numbers)}))  # noqa: S704 - the parser escapes HTML


def _make_address(token: str, page: int) -> str:
    """The address of another part of the conversation, relative to this one."""
    return f"?{urlencode({'token': token, 'page': page})}"


@cache
def _read_texts() -> dict[str, dict[str, str]]:
    texts: dict[str, dict[str, str]] = json.loads((files("api") / "templates" / "shared.json").read_text("utf-8"))
    return texts
