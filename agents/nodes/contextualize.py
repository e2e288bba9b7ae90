"""First step: what is searched for, or that nothing has to be."""

from typing import Literal

from langchain_core.messages import HumanMessage
from langgraph.runtime import Runtime
from langgraph.types import Command

from agents.messages import drop_tool_messages, repeat_answer
from agents.nodes.clarify import join_reply
from agents.small_talk import recognise
from agents.state import AgentContext, ChatState
from providers.chat.extractive import standalone_question
from utils.shorthand import spell_out


async def contextualize(
    state: ChatState, runtime: Runtime[AgentContext]
) -> Command[Literal["retrieve", "plan", "talk", "__end__"]]:
    """Find what to search for.

    Reads `messages`; writes `query`: the newest question with its short forms spelled out. Quotes of the documents know
    nothing of the conversation, so for them it gets the topic of the question before. A first question that was asked
    before, over the same documents, is answered as it was then, and the turn ends. Small talk is not searched for; what
    replies to a question of ours is, with the question that it was about. Where the bot has tools it is decided next
    whether to search at all.
    """
    *history, newest = drop_tool_messages(state["messages"])
    following: Literal["plan", "retrieve"] = "plan" if runtime.context.tools else "retrieve"
    if recognise(newest.text):
        return Command(goto="talk")
    if question := join_reply(state["messages"]):
        return Command(update={"query": spell_out(question)}, goto=following)
    question = spell_out(newest.text)
    if any(isinstance(message, HumanMessage) for message in history):
        is_model = runtime.context.model.is_language_model
        query = question if is_model else standalone_question(history, question)
        return Command(update={"query": query}, goto=following)
    remembered = await _recall(newest.text, runtime.context)
    return Command(update={"query": question, **remembered}, goto="__end__" if remembered else following)


async def _recall(question: str, run: AgentContext) -> dict[str, object]:
    """What the turn that answered *question* before left in its conversation, for this one; empty if there was none.

    Emits the answer as one `token`, and its `support`.
    """
    if run.cache_session.cache is None:
        return {}
    async with run.place.release():
        result = await run.cache_session.find(question)
    if result is None:
        return {}
    run.emit({"type": "token", "content": result.text})
    if support := result.additional_kwargs.get("support"):
        run.emit({"type": "support", **support})
    return {"messages": [repeat_answer(result, run.run_id)]}
