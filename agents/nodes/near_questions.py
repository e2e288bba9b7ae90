"""Questions that a tool nearly understands: what it says of them, where the documents do not answer surely either."""

from agents.state import AgentContext


async def explain_by_tools(question: str, run: AgentContext) -> str:
    """What the first tool says that nearly understands *question*; "" of a language model's turn: it has understood."""
    if run.tools is None or run.model.is_language_model:
        return ""
    async with run.place.release():
        for tool in run.tools.offered:
            if tool.explain_refusal and (reason := await tool.explain_refusal(run.tools.principal, question)):
                return reason
    return ""
