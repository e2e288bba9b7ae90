"""What is said where a question to data is not answered, in English, Spanish and Indonesian: `refusals.json`."""

from collections.abc import Sequence
from typing import Any

from utils.data_files import load_json

_TEXTS: dict[str, Any] = load_json("datasources.questions", "refusals.json")


class QuestionRefused(Exception):
    """The rules do not understand the question; `describe` names the word, or says what does not fit.

    *reason* is one of refusals.json, *about* what it is about. As a text it is English.
    """

    def __init__(self, reason: str, *about: str) -> None:
        super().__init__(format_refusal(reason, "en", *about))
        self.reason, self.about = reason, about

    def describe(self, language: str) -> str:
        """Why, in *language*, or else in English."""
        return format_refusal(self.reason, language, *self.about)


class NotUnderstood(Exception):
    """What `QuestionRefused` comes to for whoever asked: the text is in their language, with questions that work."""


def add_examples(text: str, examples: Sequence[str], language: str) -> str:
    """*text* with questions that work behind it."""
    listed = " ".join(each if each.endswith("?") else f"{each}." for each in examples)
    return f"{text} {format_refusal('examples', language, listed)}" if examples else text


def format_refusal(reason: str, language: str, *about: str) -> str:
    """The text for *reason* in *language*, or else in English."""
    text: str = _TEXTS.get(language, _TEXTS["en"])[reason]
    return text.format(*about)
