"""The step taken when the documents hold no answer: say so, in the language of the question."""

from langgraph.runtime import Runtime

from agents.messages import answer_message
from agents.state import AgentContext, ChatState
from prompts.rag import not_in_documents
from utils.language import detect_language


async def refuse(state: ChatState, runtime: Runtime[AgentContext]) -> dict[str, object]:
    """Say that the answer is not in the documents.

    Reads `messages`; adds the refusal to them, with `answered` false and no citations.
    """
    text = not_in_documents(detect_language(state["messages"][-1].text))
    runtime.context.emit({"type": "token", "content": text})
    message = answer_message(text, runtime.context.run_id, citations=[], model="", language_model=False)
    return {"messages": [message]}
