"""Second step: the passages for the question, and whether they hold an answer at all."""

from typing import Literal

from langgraph.runtime import Runtime

from agents.state import AgentContext, ChatState
from retrieval.answerability import is_answerable


async def retrieve(state: ChatState, runtime: Runtime[AgentContext]) -> dict[str, object]:
    """Fetch passages for the standalone question.

    Reads `query`; writes `passages` (best first, at most `top_k`, maybe empty). An empty list is a result, not an
    error: the run goes on to `refuse`.
    """
    run = runtime.context
    run.emit({"type": "status", "stage": "retrieve"})
    async with run.place.outside():
        found = await run.retriever.search(run.tenant, state["query"], limit=run.top_k)
    if found.degraded:
        run.recollection.forget()
        run.emit({"type": "status", "stage": "retrieve", "degraded": found.degraded})
    return {"passages": found.hits}


async def holds_an_answer(state: ChatState, runtime: Runtime[AgentContext]) -> Literal["answer", "refuse"]:
    """Where to go with what was found. A coroutine, since LangGraph runs anything else in a thread."""
    hits = state["passages"]
    model = runtime.context.retriever.embedder.model
    return "answer" if hits and is_answerable(state["query"], hits, model=model).answerable else "refuse"
