"""The passages of a prompt, read out of it again: what a model that keeps to the delimiters sees."""

import re
from collections.abc import Iterator
from html import unescape

from prompts.rag import NumberedPassage

_BEGIN = re.compile(
    r'<passage number="(?P<number>\d++)" title="(?P<title>[^"]*+)" heading="(?P<heading>[^"]*+)"(?: date="[^"]*+")?+>\n'
)
_END = "\n</passage>"
_DELIMITING = r"(?:\s*+/?+\s*+(?:passage|tool_result)|\|)"
_ESCAPED_DELIMITER = re.compile(rf"&(?P<amp>amp;)?+(?P<rest>(?:amp;)*+)lt;(?={_DELIMITING})", re.IGNORECASE)


def parse_passages(prompt: str) -> list[NumberedPassage]:
    """The passages that `render_passages` put into *prompt*, with their texts exactly as they were."""
    return list(_passages(prompt))


def _passages(prompt: str) -> Iterator[NumberedPassage]:
    at = 0
    while (begin := _BEGIN.search(prompt, at)) and (end := prompt.find(_END, begin.end())) >= 0:
        text = _ESCAPED_DELIMITER.sub(_unescape, prompt[begin.end() : end])
        yield NumberedPassage(int(begin["number"]), unescape(begin["title"]), unescape(begin["heading"]), text)
        at = end + len(_END)


def _unescape(found: re.Match[str]) -> str:
    return f"&{found['rest']}lt;" if found["amp"] else "<"
