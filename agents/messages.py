"""The messages of a conversation, with what belongs to them: when they were said, and what an answer rests on."""

from collections.abc import Iterable, Sequence
from typing import Any, Literal

from langchain_core.messages import AIMessage, AnyMessage, BaseMessage, HumanMessage
from langgraph.graph.message import add_messages

from agents.citations import Citation, remove_marks
from utils.moments import format_now
from utils.ports import FallbackReason

MESSAGES_REMEMBERED = 20
Past = tuple[tuple[Literal["user", "assistant"], str], ...]
"""What was said before a conversation that begins with it: who said it, and the text."""


def make_question_message(text: str, run_id: str, created_at: str | None = None) -> HumanMessage:
    """A person's question, said now unless *created_at* is another time (ISO 8601)."""
    return HumanMessage(text, id=make_question_id(run_id), additional_kwargs={"created_at": created_at or format_now()})


def make_question_id(run_id: str) -> str:
    """What the question of a run is called."""
    return f"{run_id}-q"


def answer_id(run_id: str) -> str:
    """What the answer of a run is called: a run that is repeated replaces its messages instead of adding more."""
    return f"{run_id}-a"


def make_past(past: Past, run_id: str) -> list[AnyMessage]:
    """*past* as messages, which no run has asked or answered."""
    named = [(role, text, f"{run_id}-before-{number}") for number, (role, text) in enumerate(past)]
    return [HumanMessage(text, id=id_) if role == "user" else AIMessage(text, id=id_) for role, text, id_ in named]


def is_same_question(one: AnyMessage, other: AnyMessage) -> bool:
    """Whether they are of one turn.

    A run is named by the `Idempotency-Key` it came with, and that may be used again once it has expired: then there is
    another question of the same id, which was asked at another time.
    """
    return one.id == other.id and one.additional_kwargs.get("created_at") == other.additional_kwargs.get("created_at")


def append_messages(left: list[AnyMessage], right: list[AnyMessage]) -> list[AnyMessage]:
    """LangGraph's `add_messages`, where a question of a former one's id stands beside it, and not in its place."""
    if right and isinstance(question := right[-1], HumanMessage):
        left, right = _remove_ids(left, question), [*_remove_ids(right[:-1], question), question]
    merged: list[AnyMessage] = add_messages(left, right)  # type: ignore[arg-type, assignment] # lists of one kind
    return merged


def make_ids_unique(messages: Sequence[AnyMessage]) -> list[AnyMessage]:
    """*messages*, of which the last alone of one id keeps it."""
    last = {message.id: place for place, message in enumerate(messages)}
    return [message if last[message.id] == place else _rename(message, place) for place, message in enumerate(messages)]


def _remove_ids(messages: list[AnyMessage], question: HumanMessage) -> list[AnyMessage]:
    """*messages*, of which none of a former turn has the ids that *question* and its answer have."""
    if not any(message.id == question.id and not is_same_question(message, question) for message in messages):
        return messages
    ids = (question.id, answer_id(find_question_run(question) or ""))
    return [_rename(message, place) if message.id in ids else message for place, message in enumerate(messages)]


def _rename(message: AnyMessage, place: int) -> AnyMessage:
    """*message* under an id that is no run's: it is not found by one."""
    return message.model_copy(update={"id": f"{message.id}@{place}"})


def answer_message(
    text: str,
    run_id: str,
    *,
    citations: Sequence[Citation] = (),
    model: str = "",
    language_model: bool = False,
    support: dict[str, Any] | None = None,
    is_uncertain: bool = False,
    small_talk: bool = False,
    conflicts: Sequence[dict[str, Any]] = (),
    fallback_reason: FallbackReason | None = None,
    clarification: dict[str, Any] | None = None,
    tool_calls: Sequence[dict[str, Any]] = (),
    is_done: bool = False,
) -> AIMessage:
    """An answer given now; one without citations counts as not answered, unless it is small talk, or what was asked for
    *is_done*.

    *is_uncertain*: it gives the closest passages, which may not answer the question.
    *conflicts*: sentences of two documents that differ, as `agents.conflicts.notes` gives them.
    *support*: how far its sentences are supported, as `agents.verification.verdict.report` gives it; None: not checked.
    *fallback_reason*: why quotes answer in place of the language model; None where they do not.
    *clarification*: it is no answer but asks back: `question`, and `choices` to reply with.
    *tool_calls*: those that were made for it, as `agents.tools.state.describe_calls` gives them.
    """
    return AIMessage(
        text,
        id=answer_id(run_id),
        additional_kwargs={
            "created_at": format_now(),
            "citations": [citation.as_dict() for citation in citations],
            "answered": bool(citations) or small_talk or is_done,
            "confidence": ("low" if is_uncertain else "high") if citations else None,
            "small_talk": small_talk,
            "model": model,
            "language_model": language_model,
            "support": support,
            "conflicts": list(conflicts),
            "fallback_reason": fallback_reason,
            "clarification": clarification,
            **({"tool_calls": list(tool_calls)} if tool_calls else {}),
        },
    )


def repeat_answer(answer: AIMessage, run_id: str) -> AIMessage:
    """An answer of another conversation as a message of this one, given now, marked as `cached`."""
    extra = {**answer.additional_kwargs, "created_at": format_now(), "cached": True}
    return AIMessage(answer.text, id=answer_id(run_id), additional_kwargs=extra)


def drop_tool_messages(messages: Iterable[AnyMessage]) -> list[AnyMessage]:
    """*messages* without calls of tools and their results.

    Models refuse a conversation in which a call has no result, and one stays so for good when its worker dies between
    the two.
    """
    return [
        message
        for message in messages
        if isinstance(message, HumanMessage) or (isinstance(message, AIMessage) and message.text.strip())
    ]


def make_model_messages(messages: Sequence[AnyMessage]) -> list[BaseMessage]:
    """The last messages as a model is told them: beginning with a question, questions and answers in turn, as text
    alone. Many models refuse anything else.

    Two questions in a row stand where a model failed to answer the first; they become one.
    """
    talk: list[BaseMessage] = []
    for message in map(_make_plain, drop_tool_messages(messages[-MESSAGES_REMEMBERED:])):
        if talk and type(talk[-1]) is type(message):
            talk[-1] = type(message)(f"{talk[-1].text}\n\n{message.text}")
        elif talk or isinstance(message, HumanMessage):
            talk.append(message)
    return talk


def _make_plain(message: AnyMessage) -> BaseMessage:
    """The text of a message alone; marks of earlier answers point at passages that are not shown any more."""
    if isinstance(message, HumanMessage):
        return HumanMessage(message.text)
    return AIMessage(remove_marks(message.text))


def to_json(message: AnyMessage) -> dict[str, Any]:
    """A message as the API shows it."""
    extra = message.additional_kwargs
    role = "user" if isinstance(message, HumanMessage) else "assistant"
    view = {"role": role, "content": message.text, "created_at": extra.get("created_at")}
    if role == "user":
        view["run_id"] = find_question_run(message)
    else:
        view |= {"citations": extra.get("citations", []), "answered": extra.get("answered", False)}
        view |= {"confidence": extra.get("confidence"), "small_talk": extra.get("small_talk", False)}
        view |= {"fallback_reason": extra.get("fallback_reason"), "clarification": extra.get("clarification")}
        view |= {"support": extra.get("support"), "run_id": find_answer_run(message.id)}
        view |= {"conflicts": extra.get("conflicts", []), "tool_calls": extra.get("tool_calls", [])}
    return view


def find_question_run(message: AnyMessage) -> str | None:
    """The run that a question was asked in; None where it is none of ours, or no question."""
    run_id = (message.id or "").removesuffix("-q")
    return run_id if message.id == make_question_id(run_id) and isinstance(message, HumanMessage) else None


def find_answer_run(message_id: str | None) -> str | None:
    """The run whose answer it is, if one of ours gave it; see `answer_id`."""
    run_id = (message_id or "").removesuffix("-a")
    return run_id if message_id and answer_id(run_id) == message_id else None
