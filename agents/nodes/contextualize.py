"""First step: a question that can be searched for without the conversation around it."""

from langchain_core.messages import AnyMessage, HumanMessage
from langgraph.runtime import Runtime

from agents.citations import without_marks
from agents.messages import spoken
from agents.nodes.recall import recall
from agents.state import AgentContext, ChatState
from prompts.rag import standalone_prompt
from providers.chat.extractive import standalone_question

_TURNS_LOOKED_AT = 3
_LONGEST_QUERY = 2000  # characters; a model that rambles instead of rewriting must not drown the search


async def contextualize(state: ChatState, runtime: Runtime[AgentContext]) -> dict[str, object]:
    """Make the newest question standalone.

    Reads `messages`; writes `query`. A first question is taken as it is, so a first turn costs one model call only; one
    that is remembered is answered here, as `recall` does.
    """
    *history, newest = spoken(state["messages"])
    if not any(isinstance(message, HumanMessage) for message in history):
        return {"query": newest.text, **await recall(newest.text, runtime.context)}
    runtime.context.emit({"type": "status", "stage": "contextualize"})
    model = runtime.context.model
    if not model.is_language_model:
        return {"query": standalone_question(history, newest.text)}
    prompt = standalone_prompt(_spoken(history[-2 * _TURNS_LOOKED_AT :]), newest.text)
    async with runtime.context.place.outside():
        reply = await model.chat.ainvoke([HumanMessage(prompt)])
    return {"query": reply.text.strip()[:_LONGEST_QUERY] or newest.text}


def _spoken(history: list[AnyMessage]) -> list[tuple[str, str]]:
    return [
        ("Person" if isinstance(message, HumanMessage) else "Assistant", without_marks(message.text))
        for message in history
    ]
