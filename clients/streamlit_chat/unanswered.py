"""Questions that were left without an answer, and why, for as long as the browser tab is open."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from clients.api_answers import Message


@dataclass(frozen=True, slots=True)
class Unanswered:
    """A question at its *place* in the conversation; *reason* is empty where none is known."""

    question: str
    place: int
    reason: str = ""


def find_reason(message: Message, place: int, unanswered: Iterable[Unanswered]) -> str:
    """Why the question at *place* was not answered; empty where that is not known."""
    reasons = [each.reason for each in unanswered if each.question == message.content and each.place <= place]
    return reasons[-1] if reasons else ""


def list_not_taken(unanswered: Iterable[Unanswered], messages: Sequence[Message], offset: int) -> list[Unanswered]:
    """Those that are not in the conversation, in the order in which they were asked.

    The service never took them, as when too much is asked. *offset* messages stand before *messages*.
    """
    asked = [(message.content, offset + index) for index, message in enumerate(messages) if message.role == "user"]
    return [
        each
        for each in unanswered
        if each.place >= offset and not any(each.question == text and each.place <= place for text, place in asked)
    ]
