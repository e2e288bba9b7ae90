"""First step: a question that can be searched for without the conversation around it."""

from typing import Literal

from langchain_core.messages import AnyMessage, HumanMessage
from langgraph.runtime import Runtime
from langgraph.types import Command

from agents.citations import without_marks
from agents.messages import repeat_answer, spoken
from agents.state import AgentContext, ChatState
from prompts.rag import standalone_prompt
from providers.chat.extractive import standalone_question

_TURNS_LOOKED_AT = 3
_LONGEST_QUERY = 2000  # characters; a model that rambles instead of rewriting must not drown the search


async def contextualize(state: ChatState, runtime: Runtime[AgentContext]) -> Command[Literal["retrieve", "__end__"]]:
    """Make the newest question standalone.

    Reads `messages`; writes `query`. A first question is taken as it is, so a first turn costs one model call only; one
    that was asked before, over the same documents, is answered as it was then, and the turn ends.
    """
    *history, newest = spoken(state["messages"])
    if any(isinstance(message, HumanMessage) for message in history):
        return Command(update={"query": await _standalone(history, newest, runtime.context)}, goto="retrieve")
    remembered = await _recall(newest.text, runtime.context)
    return Command(update={"query": newest.text, **remembered}, goto="__end__" if remembered else "retrieve")


async def _recall(question: str, run: AgentContext) -> dict[str, object]:
    """What the turn that answered *question* before left in its conversation, for this one; empty if there was none.

    Emits the answer as one `token`, and its `support`.
    """
    if run.cache_session.cache is None:
        return {}
    async with run.place.outside():
        found = await run.cache_session.find(question)
    if found is None:
        return {}
    run.emit({"type": "token", "content": found.text})
    if support := found.additional_kwargs.get("support"):
        run.emit({"type": "support", **support})
    return {"messages": [repeat_answer(found, run.run_id)]}


async def _standalone(history: list[AnyMessage], newest: AnyMessage, run: AgentContext) -> str:
    run.emit({"type": "status", "stage": "contextualize"})
    if not run.model.is_language_model:
        return standalone_question(history, newest.text)
    prompt = standalone_prompt(_spoken(history[-2 * _TURNS_LOOKED_AT :]), newest.text)
    async with run.place.outside():
        reply = await run.model.chat.ainvoke([HumanMessage(prompt)])
    return reply.text.strip()[:_LONGEST_QUERY] or newest.text


def _spoken(history: list[AnyMessage]) -> list[tuple[str, str]]:
    return [
        ("Person" if isinstance(message, HumanMessage) else "Assistant", without_marks(message.text))
        for message in history
    ]
