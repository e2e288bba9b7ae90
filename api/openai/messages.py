"""Messages as OpenAI's clients send them: the last is the question, those before it what was said."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag

from agents.messages import MESSAGES_REMEMBERED, Past
from api.schemas import NON_BLANK
from utils.validation import LONGEST_MESSAGE, refuse_field

_LONGEST_TEXT = 100_000  # characters; a question has a limit of its own
_LONGEST_PAST = 40_000  # characters of all messages before the question; it is kept in Redis with the run
_MAX_PARTS, _MAX_MESSAGES = 100, 1_000


class OpenAiTextPart(BaseModel):
    """A piece of a message. Only text is read, and other members of it are ignored."""

    model_config = ConfigDict(strict=True)

    type: Literal["text", "input_text", "output_text"]
    text: str = Field(max_length=_LONGEST_TEXT)


def name_form(content: Any) -> str:
    """Whether it is text, or a list of parts of it."""
    return "text" if isinstance(content, str) else "parts"


QuestionText = Annotated[str, Field(min_length=1, max_length=LONGEST_MESSAGE), NON_BLANK]
Content = Annotated[
    Annotated[str, Field(max_length=_LONGEST_TEXT), Tag("text")]
    | Annotated[list[OpenAiTextPart], Field(max_length=_MAX_PARTS), Tag("parts")],
    Discriminator(name_form),
]


class OpenAiMessageIn(BaseModel):
    """A message. Those of `system` and `developer` are ignored, as are members that are not named here."""

    model_config = ConfigDict(strict=True)

    type: Literal["message"] | None = None
    role: Literal["system", "developer", "user", "assistant"]
    content: Content | None = None

    @property
    def text(self) -> str:
        """What it says."""
        if self.content is None or isinstance(self.content, str):
            return self.content or ""
        return "\n".join(part.text for part in self.content)


class OpenAiItemReference(BaseModel):
    """An earlier answer, by its id instead of its text, as the AI SDK sends it."""

    model_config = ConfigDict(strict=True, extra="forbid")

    type: Literal["item_reference"]
    id: Annotated[str, Field(pattern="^msg_[0-9a-f]{32}$")]


def _name_item(item: Any) -> str:
    return "reference" if isinstance(item, dict) and item.get("type") == "item_reference" else "message"


Item = Annotated[
    Annotated[OpenAiMessageIn, Tag("message")] | Annotated[OpenAiItemReference, Tag("reference")],
    Discriminator(_name_item),
]
Items = Annotated[list[Item], Field(min_length=1, max_length=_MAX_MESSAGES)]
Messages = Annotated[list[OpenAiMessageIn], Field(min_length=1, max_length=_MAX_MESSAGES)]


def read_question(messages: Sequence[OpenAiMessageIn], *, field: str) -> tuple[str, Past]:
    """The question, and what was said before it: the last 20 messages, as many of them as have 40,000 characters.

    Raises:
        BadInput: the last message is not a user's, or is empty or too long.
    """
    entries = [(message.role, message.text) for message in messages if message.role in ("user", "assistant")]
    role, question = entries[-1] if entries else ("", "")
    if role != "user" or not question.strip():
        raise refuse_field("The last message has to be the user's, with a question as text.", field)
    if len(question) > LONGEST_MESSAGE:
        raise refuse_field(f"The question may have {LONGEST_MESSAGE:,} characters at most.", field)
    return question, _cut_past(entries[:-1])


def _cut_past(entries: Sequence[tuple[Any, str]]) -> Past:
    past: list[tuple[Any, str]] = []
    room = _LONGEST_PAST
    for role, text in reversed([one for one in entries if one[1].strip()][-MESSAGES_REMEMBERED:]):
        room -= len(text)
        if room < 0:
            break
        past.append((role, text))
    return tuple(reversed(past))
