"""What a conversation keeps between turns, and what a turn is given for its own time."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Annotated, Any, TypedDict

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AnyMessage
from langgraph.graph.message import add_messages

from agents.answer_cache import Recollection
from agents.turnstile import Place
from retrieval.search import Retriever
from utils.context import TenantContext
from utils.passages import Hit, Passage


class ChatState(TypedDict, total=False):
    """Persisted with the conversation; plain values only, so that the saver needs to know no class of ours.

    `messages`: the talk; citations ride in an answer's `additional_kwargs`. `query`: the newest question, made
    standalone. `passages`: what it was answered from, best first, as `hit_to_state` writes them.
    """

    messages: Annotated[list[AnyMessage], add_messages]
    query: str
    passages: list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class AnswerModel:
    """The chat model that answers; `is_language_model` is False for the extractive answerer, and answers say so."""

    chat: BaseChatModel
    is_language_model: bool


@dataclass(frozen=True, slots=True)
class AgentContext:
    """What the nodes of one run work with; never persisted. `streams`: somebody watches the answer come.

    `emit` tells an event. LangGraph's own stream of events costs a third of a millisecond for each.
    `recollection`: what was answered before. `place`: left while a node waits for a model or a search.
    """

    run_id: str
    tenant: TenantContext
    emit: Callable[[dict[str, Any]], None]
    retriever: Retriever
    model: AnswerModel
    institution: str
    language_policy: str
    top_k: int
    streams: bool
    place: Place
    recollection: Recollection


def hit_to_state(hit: Hit) -> dict[str, Any]:
    """A hit as plain values."""
    return asdict(hit)


def hit_from_state(value: dict[str, Any]) -> Hit:
    """The hit that `hit_to_state` wrote."""
    return Hit(**{**value, "passage": Passage(**value["passage"])})
