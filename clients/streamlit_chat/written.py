"""An answer, and a conversation, as a text that can be taken along."""

import json
import re
from collections.abc import Callable, Iterable
from dataclasses import asdict
from datetime import date
from html import escape

from markdown_it import MarkdownIt
from markdown_it.token import Token

from clients.api_answers import Message
from clients.run_events import Citation
from clients.streamlit_chat.answer_reading import has_small_tables
from clients.streamlit_chat.links import clean_page_link
from clients.streamlit_chat.numbers import list_citations, number_citations, renumber
from clients.streamlit_chat.sources import describe_place, name_sources
from clients.streamlit_chat.texts import say

# An image would be fetched from anywhere by whatever shows the text; it becomes a link.
_PARSER = MarkdownIt("commonmark", {"html": False}).enable("table").disable("image")


class _Reader(MarkdownIt):
    """Reads as the least careful programs do: a link to `javascript:` is one."""

    def validateLink(self, url: str) -> bool:
        return True


_READER = _Reader("commonmark").enable("table")
_ACTIVE = frozenset(("image", "html_inline", "html_block"))
_LONGEST_READ = 200_000  # characters
_LONGEST_COPY = 12_000  # made each time an answer is drawn; Streamlit is given plain text for longer ones, too
_FENCE = re.compile(r" {0,3}(`{3,}(?=[^`]*$)|~{3,})")
_OPENING = re.compile(r"(?<!\\)(\\*+)(<!\[|!\[|<[A-Za-z/!?])")
_LINK = re.compile(r"(?<!\\)(\\*+)(\](?=[(:]))")


def write_answer(message: Message) -> str:
    """In Markdown, its sources below it."""
    text = _write(message)
    return _make_harmless(text, is_read=_is_read_quickly(text))


def write_answer_html(message: Message) -> str:
    """The same as HTML, with nothing of it but what the Markdown makes; "" where that takes too long."""
    if not _is_read_quickly(message.content):
        return ""
    html = str(_PARSER.render(renumber(message.content, number_citations(message.citations))))
    lines = [f"[{number}] {escape(_name(citation))}" for number, citation in list_citations(message.citations)]
    return f"{html}<p>{escape(name_sources(message))}:<br>{'<br>'.join(lines)}</p>" if lines else html


def write_conversation(messages: Iterable[Message], title: str, day: date) -> str:
    """A Markdown file of that *day*: each question as a heading, with its answer and the quotes it rests on."""
    parts = [f"# {' '.join(title.split())}", say("exported", day=day.isoformat())]
    for message in messages:
        if message.role == "user":
            parts.append(f"## {' '.join(message.content.split())}")
        else:
            parts.append(_write(message, with_quotes=True))
    text = "\n\n".join(parts) + "\n"
    return _make_harmless(
        text, is_read=len(text) <= _LONGEST_READ
    )  # as a whole: one may end a block of code of another


def write_conversation_json(messages: Iterable[Message]) -> str:
    """A JSON file: `messages`, of answers with their citations; their marks are those of the service."""
    return json.dumps({"messages": [_describe(message) for message in messages]}, ensure_ascii=False, indent=2)


def _write(message: Message, *, with_quotes: bool = False) -> str:
    text = _close_fence(renumber(message.content, number_citations(message.citations)))
    lines = list[str]()
    for number, citation in list_citations(message.citations):
        lines.append(f"- [{number}] {_name(citation)}")
        if with_quotes:
            lines += ["", *(f"  > {line}" for line in citation.quote.splitlines()), ""]
    return "\n".join([text, "", f"{name_sources(message)}:", "", *lines]) if lines else text


def _close_fence(text: str) -> str:
    """*text* with an end of its block of code, where that is missing: it would go on in what follows."""
    fence = ""
    for line in text.splitlines():
        found = _FENCE.match(line)
        if found and not fence:
            fence = found[1]
        elif found and found[1].startswith(fence) and not line.strip(f" {fence[0]}"):
            fence = ""
    return f"{text}\n{fence}" if fence else text


def _is_read_quickly(text: str) -> bool:
    return len(text) <= _LONGEST_COPY and has_small_tables(text)


def _make_harmless(text: str, *, is_read: bool) -> str:
    """*text* with images, HTML and links that run something shown as the signs they are.

    Documents, cells and titles may bring them along. A text that has them in blocks of code alone stays as it is where
    it *is read*; else what looks like them is shown as signs wherever it stands.
    """
    for _ in range(2):  # what is a sign now may have hidden the others
        if _OPENING.search(text) and (not is_read or _holds(text, _is_active)):
            text = _OPENING.sub(_escape, text)
        if _LINK.search(text) and (not is_read or _holds(text, _runs_something)):
            text = _LINK.sub(_escape, text)
    return text


def _holds(text: str, is_harmful: Callable[[Token], bool]) -> bool:
    return any(is_harmful(each) for token in _READER.parse(text) for each in (token, *(token.children or ())))


def _is_active(token: Token) -> bool:
    return token.type in _ACTIVE or (token.markup == "autolink" and _runs_something(token))


def _runs_something(token: Token) -> bool:
    return not _PARSER.validateLink(str(token.attrGet("href") or ""))


def _escape(opening: re.Match[str]) -> str:
    before, signs = opening.groups()
    done = len(before) % 2  # the first sign has a backslash already
    return before + signs[:done] + re.sub(r"[]<!]", r"\\\g<0>", signs[done:])


def _describe(message: Message) -> dict[str, object]:
    said: dict[str, object] = {name: getattr(message, name) for name in ("role", "content", "created_at")}
    if message.role == "user":
        return said
    cited = [asdict(citation) for citation in message.citations]
    for citation in cited:
        del citation["link"]  # opens the document for a while to whoever has it
    return {**said, "citations": cited}


def _name(citation: Citation) -> str:
    place, address = " ".join(describe_place(citation).split()), clean_page_link(citation.url)
    return f"{place} – {address}" if address else place
