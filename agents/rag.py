"""The answering graph, readable top to bottom:

    contextualize → retrieve → answer (and verify) | refuse | clarify → END
                  → talk → END, where it is small talk
                  → END, where the first question was answered before
                  → plan → (tools → plan)* → answer | refuse | clarify | retrieve | talk, where the bot has tools

Where a step has a choice, its node says where the turn goes on: two edges with conditions took a twentieth of a turn's
CPU. One compiled graph serves every conversation of a process; what differs between runs arrives in the `AgentContext`.
"""

from typing import Any

from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph

from agents.nodes.answer import answer
from agents.nodes.clarify import clarify
from agents.nodes.contextualize import contextualize
from agents.nodes.plan import plan
from agents.nodes.refuse import refuse
from agents.nodes.retrieve import retrieve
from agents.nodes.talk import talk
from agents.nodes.tools import tools
from agents.state import AgentContext, ChatState

Graph = CompiledStateGraph[ChatState, AgentContext, ChatState, ChatState]


def compile_graph(saver: BaseCheckpointSaver[Any]) -> Graph:
    """The graph, keeping conversations in *saver*."""
    graph = StateGraph(ChatState, context_schema=AgentContext)
    graph.add_node("contextualize", contextualize)
    graph.add_node("talk", talk)
    graph.add_node("plan", plan)
    graph.add_node("tools", tools)
    graph.add_node("retrieve", retrieve)
    graph.add_node("answer", answer)
    graph.add_node("refuse", refuse)
    graph.add_node("clarify", clarify)
    graph.add_edge(START, "contextualize")
    graph.add_edge("talk", END)
    graph.add_edge("answer", END)
    graph.add_edge("refuse", END)
    graph.add_edge("clarify", END)
    return graph.compile(checkpointer=saver)
