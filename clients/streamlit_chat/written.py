"""An answer, and a conversation, as a text that can be taken along."""

import json
import re
from collections.abc import Iterable
from dataclasses import asdict
from html import escape

from markdown_it import MarkdownIt

from clients.api_client import Message
from clients.run_events import Citation
from clients.streamlit_chat.links import clean_page_link
from clients.streamlit_chat.numbers import list_citations, number_citations, renumber
from clients.streamlit_chat.sources import describe_place, name_sources

# An image would be fetched from anywhere by whatever shows the text; it becomes a link.
_PARSER = MarkdownIt("commonmark", {"html": False}).enable("table").disable("image")


class _Reader(MarkdownIt):
    """Reads as the least careful programs do: a link to `javascript:` is one."""

    def validateLink(self, url: str) -> bool:
        return True


_READER = _Reader("commonmark").enable("table")
_ACTIVE = frozenset(("image", "html_inline", "html_block"))
_LONGEST_READ = 200_000  # characters
_OPENING = re.compile(r"(?<!\\)(\\*+)(<!\[|!\[|<[A-Za-z/!?]|\](?=[(:]))")


def write_answer(message: Message) -> str:
    """In Markdown, its sources below it."""
    return _make_harmless(_write(message))


def write_answer_html(message: Message) -> str:
    """The same as HTML, with nothing of it but what the Markdown makes."""
    html = str(_PARSER.render(renumber(message.content, number_citations(message.citations))))
    lines = [f"[{number}] {escape(_name(citation))}" for number, citation in list_citations(message.citations)]
    return f"{html}<p>{escape(name_sources(message))}:<br>{'<br>'.join(lines)}</p>" if lines else html


def write_conversation(messages: Iterable[Message], title: str) -> str:
    """A Markdown file: each question as a heading, with its answer and its sources."""
    parts = [f"# {' '.join(title.split())}"]
    for message in messages:
        if message.role == "user":
            parts.append(f"## {' '.join(message.content.split())}")
        else:
            parts.append(_write(message))
    return _make_harmless("\n\n".join(parts) + "\n")  # as a whole: one may end a block of code of another


def write_conversation_json(messages: Iterable[Message]) -> str:
    """A JSON file: `messages`, of answers with their citations; their marks are those of the service."""
    return json.dumps({"messages": [_describe(message) for message in messages]}, ensure_ascii=False, indent=2)


def _write(message: Message) -> str:
    text = renumber(message.content, number_citations(message.citations))
    lines = [f"[{number}] {_name(citation)}" for number, citation in list_citations(message.citations)]
    return "\n".join([text, "", f"{name_sources(message)}:", *lines]) if lines else text


def _make_harmless(text: str) -> str:
    """*text* with images, HTML and links that run something shown as the signs they are, and all its other links, too.

    Documents, cells and titles may bring them along.

    One that has them in blocks of code alone stays as it is.
    """
    if not _OPENING.search(text) or (len(text) <= _LONGEST_READ and not _is_active(text)):
        return text
    return _OPENING.sub(_escape, text)


def _is_active(text: str) -> bool:
    tokens = (each for token in _READER.parse(text) for each in (token, *(token.children or ())))
    return any(each.type in _ACTIVE or not _PARSER.validateLink(str(each.attrGet("href") or "")) for each in tokens)


def _escape(opening: re.Match[str]) -> str:
    before, signs = opening.groups()
    done = len(before) % 2  # the first sign has a backslash already
    return before + signs[:done] + signs[done:].replace("<", r"\<").replace("!", r"\!").replace("]", r"\]")


def _describe(message: Message) -> dict[str, object]:
    said: dict[str, object] = {name: getattr(message, name) for name in ("role", "content", "created_at")}
    if message.role == "user":
        return said
    cited = [asdict(citation) for citation in message.citations]
    for citation in cited:
        del citation["link"]  # opens the document for a while to whoever has it
    return {**said, "citations": cited}


def _name(citation: Citation) -> str:
    address = clean_page_link(citation.url)
    return f"{describe_place(citation)} – {address}" if address else describe_place(citation)
