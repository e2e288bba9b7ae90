"""The step taken when the documents hold no answer: say so, in the language of the question."""

from typing import Any

from langgraph.runtime import Runtime

from agents.messages import answer_message
from agents.state import AgentContext, ChatState
from prompts.rag import not_in_documents
from utils.language import detect_language


async def refuse(state: ChatState, runtime: Runtime[AgentContext]) -> dict[str, object]:
    """Say that the answer is not in the documents.

    Reads `messages`; adds the refusal to them, with `answered` false and no citations.
    """
    return refusal(state, runtime.context)


def refusal(state: ChatState, run: AgentContext, support: dict[str, Any] | None = None) -> dict[str, object]:
    """The same; *support* tells of sentences that were left out because nothing supports them."""
    text = not_in_documents(detect_language(state["messages"][-1].text))
    run.emit({"type": "token", "content": text})
    if support is not None:
        run.emit({"type": "support", **support})
    message = answer_message(text, run.run_id, citations=[], model="", language_model=False, support=support)
    return {"messages": [message]}
