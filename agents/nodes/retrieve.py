"""Second step: the passages for the question, and whether they hold an answer at all."""

from typing import Literal

from langgraph.runtime import Runtime
from langgraph.types import Command

from agents.state import AgentContext, ChatState


async def retrieve(state: ChatState, runtime: Runtime[AgentContext]) -> Command[Literal["answer", "refuse"]]:
    """Fetch passages for the standalone question.

    Reads `query`; writes `passages` (best first, at most `top_k`, maybe empty). An empty list is a result, not an
    error: the run goes on to `refuse`, as it does where the passages hold no answer.
    """
    run, query = runtime.context, state["query"]
    run.emit({"type": "status", "stage": "retrieve"})
    async with run.place.outside():
        found = await run.retriever.search(run.tenant, query, limit=run.top_k)
    if found.degraded:
        run.cache_session.forget()
        run.emit({"type": "status", "stage": "retrieve", "degraded": found.degraded})
    return Command(update={"passages": found.hits}, goto="answer" if found.verdict.answerable else "refuse")
