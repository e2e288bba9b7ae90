"""A first question that was asked before, over the same documents, is answered as it was then."""

from agents.messages import repeat_answer
from agents.state import AgentContext


async def recall(question: str, run: AgentContext) -> dict[str, object]:
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
