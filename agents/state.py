"""What a conversation keeps between turns, and what a turn is given for its own time."""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Annotated, Any, Protocol, TypedDict, TypeVar

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AnyMessage
from langgraph.channels import UntrackedValue

from agents.answer_cache import AnswerCacheSession
from agents.artifacts import add_artifacts
from agents.bots import BotConfig
from agents.messages import append_messages, find_answer_run
from agents.tools.state import ToolState, summarize_queries
from agents.tools.turn import TurnTools
from agents.topics import TopicFinder
from agents.turn_limiter import Permit
from agents.verification.verifier import Verifier
from auth.principal import Principal
from retrieval.answerability import Verdict
from retrieval.attached import NOTHING_ATTACHED, AttachedPassages
from retrieval.search import Retriever
from utils.checkpointer.circuit import Circuit
from utils.long_texts import AT_ONCE, process_text
from utils.passages import Hit

T = TypeVar("T")


class ChatState(TypedDict, total=False):
    """What the nodes of a turn hand on.

    Persisted with the conversation: `messages`, the talk; citations are in an answer's `additional_kwargs`, as plain
    values, so that the saver needs to know no class of ours. `aside`: what was said on other branches, which no node
    reads. For one turn alone: `query`, the newest question made
    standalone, `passages`, what it is answered from, best first, `verdict`: whether they answer it, `is_index_whole`:
    whether all documents were searched, and `choices`, one of which the question may mean. `tool_state`: calls of
    tools, kept between the steps of a turn. `kept_result`: that of the last turn's question to a data source, see
    `LastResult`.
    """

    messages: Annotated[list[AnyMessage], append_messages]
    aside: list[AnyMessage]
    query: Annotated[str, UntrackedValue(str)]
    passages: Annotated[Sequence[Hit], UntrackedValue(Sequence)]
    verdict: Annotated[Verdict, UntrackedValue(Verdict)]
    is_index_whole: Annotated[bool, UntrackedValue(bool)]
    choices: Annotated[list[str], UntrackedValue(list)]
    tool_state: ToolState | None
    kept_result: dict[str, Any] | None


def end_turn(state: ChatState, answer: AIMessage) -> dict[str, object]:
    """What the last step of a turn changes: *answer* is said, and what was done with tools is not kept any longer, but
    for what a data source gave, and which artifacts there are now. A query's result is kept, until the conversation is
    about something else."""
    answer.additional_kwargs |= summarize_queries(state.get("tool_state"))
    former = next((each for each in reversed(state["messages"]) if isinstance(each, AIMessage)), None)
    earlier = former.additional_kwargs.get("artifacts", {}) if former else {}
    if artifacts := add_artifacts(earlier, find_answer_run(answer.id) or "", answer.additional_kwargs):
        answer.additional_kwargs["artifacts"] = artifacts
    tool_state, changed = state.get("tool_state"), dict[str, object]()
    if tool_state:
        changed["tool_state"] = None
    result = tool_state.get("kept") if tool_state else None
    if result or (state.get("kept_result") and not answer.additional_kwargs.get("small_talk")):
        changed["kept_result"] = result
    return {"messages": [answer], **changed}


@dataclass(frozen=True, slots=True)
class AnswerModel:
    """The chat model that answers; `is_language_model` is False for the extractive answerer, and answers say so.

    `quotes` answers where a language model fails, `circuit` knows whether it has; None where there is none.
    """

    chat: BaseChatModel
    is_language_model: bool
    quotes: BaseChatModel | None = None
    circuit: Circuit | None = None

    @property
    def is_away(self) -> bool:
        """Whether the language model has failed and has not answered since."""
        return self.circuit is not None and self.circuit.is_open

    def find_language_model(self) -> BaseChatModel | None:
        """The language model, None where there is none or it is away."""
        return self.chat if self.is_language_model and not self.is_away else None


class AnswerModels(Protocol):
    """The models by which the bots of every tenant answer."""

    def hold(self, ctx: Principal, bot: BotConfig) -> AbstractAsyncContextManager[AnswerModel]:
        """The model of *bot*, which stays open for the length of the block.

        Raises:
            NotReady: it cannot be opened; the text says why.
            StoreUnavailable: how it is reached cannot be known now.
        """


@dataclass(frozen=True, slots=True)
class AgentContext:
    """What the nodes of one run work with; never persisted. `streams`: somebody watches the answer come.

    `emit` tells an event. LangGraph's own stream of events costs a third of a millisecond for each.
    `cache_session`: what was answered before. `place`: left while a node waits for a model or a search. `verifier`
    checks sentences. `topics`: what the documents are about. `tools`: None where the bot has none.
    `attached`: files of the conversation, searched beside the documents. `emotion`: a word for how who asks feels.
    `count_unread`: how many of the tenant's documents are still read.
    """

    run_id: str
    principal: Principal
    emit: Callable[[dict[str, Any]], None]
    retriever: Retriever
    model: AnswerModel
    bot: BotConfig
    streams: bool
    place: Permit
    cache_session: AnswerCacheSession
    verifier: Verifier
    count_unread: Callable[[Principal], Awaitable[int]]
    topics: TopicFinder = field(default_factory=TopicFinder)
    tools: TurnTools | None = None
    attached: AttachedPassages = NOTHING_ATTACHED
    emotion: str = ""

    def need_tools(self) -> TurnTools:
        """The tools, in the steps that only a bot with tools comes to."""
        if self.tools is None:
            raise RuntimeError("This bot has no tools.")
        return self.tools

    async def process_text(self, work: Callable[[], T], *, characters: int, at_once: int = AT_ONCE) -> T:
        """Run *work* as `utils.long_texts.process_text` does; the place is left while a thread works."""
        if characters <= at_once:
            return work()
        async with self.place.release():
            return await process_text(work, characters=characters, at_once=at_once)
