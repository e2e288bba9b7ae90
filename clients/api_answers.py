"""What the API tells of conversations, of the documents' topics, and of itself."""

from dataclasses import dataclass, replace
from typing import Any

from clients.run_events import Chart, Citation, Clarification, Doubt, ResultTable, make_from_members, parse_answer


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a conversation; `role` is "user" or "assistant", `created_at` ISO 8601.

    An answer is rated under its `run_id`; `rating` is "up", "down", or None where nothing was said of it. `small_talk`:
    an answer to a greeting and the like, which is not rated. `answered` is False where the documents do not hold the
    answer, `confidence` "low" where what is cited may not answer. `fallback_reason`: why the answer is quotes in place
    of a language model's words, None where it is not. `clarification`: it is no answer but asks back. A question has
    the `run_id` it was asked in, `parent_run_id`, the run of the turn that it follows ("start" for a first one), and
    `siblings`, the runs of all that follow the same turn.
    """

    role: str
    content: str
    citations: tuple[Citation, ...] = ()
    doubts: tuple[Doubt, ...] = ()
    created_at: str | None = None
    run_id: str | None = None
    rating: str | None = None
    answered: bool | None = None
    confidence: str | None = None
    small_talk: bool = False
    fallback_reason: str | None = None
    clarification: Clarification | None = None
    charts: tuple[Chart, ...] = ()
    tables: tuple[ResultTable, ...] = ()
    parent_run_id: str | None = None
    siblings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Conversation:
    """The last messages of a conversation; `offset` more stand before them.

    `persistence` is "redis", or "memory" while it would not survive a restart. `running`: it is being answered now,
    by the run `run_id`; `waiting`: that run waits for the person.
    """

    messages: tuple[Message, ...]
    offset: int = 0
    expires_in_s: int | None = None
    persistence: str = "redis"
    running: bool = False
    waiting: bool = False
    run_id: str | None = None

    @property
    def length(self) -> int:
        """How many messages it has, with those that were not read."""
        return self.offset + len(self.messages)


@dataclass(frozen=True, slots=True)
class ListedConversation:
    """A conversation in a list; `updated_at` is ISO 8601."""

    id: str
    title: str
    updated_at: str


@dataclass(frozen=True, slots=True)
class Health:
    """How the service is: `language_model` is False when answers are made of quotes alone."""

    status: str = "healthy"
    language_model: bool = True


@dataclass(frozen=True, slots=True)
class TopicQuestion:
    """A question that the documents answer, in this one under this heading."""

    question: str
    heading: str
    document_id: str


@dataclass(frozen=True, slots=True)
class DataQuestion:
    """A question that the data source of this name answers."""

    question: str
    data_source: str


@dataclass(frozen=True, slots=True)
class Topics:
    """Titles of documents, the languages they are in (ISO 639-1), and questions; `institution`: whose they are.

    `data_questions`: such as data sources answer.
    """

    titles: tuple[str, ...] = ()
    languages: tuple[str, ...] = ()
    questions: tuple[TopicQuestion, ...] = ()
    data_questions: tuple[DataQuestion, ...] = ()
    institution: str | None = None


def read_message(item: dict[str, Any]) -> Message:
    """A message of a conversation, from what the API tells of it."""
    message = make_from_members(Message, parse_answer(item))
    return replace(message, siblings=tuple(message.siblings or ()))
