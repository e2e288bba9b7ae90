"""The tools of a service: search, questions to data sources, those of TOOL_MODULES and of allowed MCP servers."""

from collections.abc import Callable, Iterator
from importlib import import_module

from langchain_core.language_models import BaseChatModel

from agents.tools.chart import make_chart_tool
from agents.tools.data import make_data_tool
from agents.tools.data_port import DataAnswer, DataAsker
from agents.tools.last_result import LastResult
from agents.tools.registry import ToolRegistry
from agents.tools.search import make_search_tool
from agents.tools.tool import Tool, UnusableTool
from agents.tools.turn import ToolLimits
from auth.principal import Principal
from bootstrap.mcp_servers import make_mcp_tools
from config import Settings
from retrieval.search import Retriever
from utils.processes import StartError


def open_tools(settings: Settings, retriever: Callable[[], Retriever], asker: DataAsker) -> ToolRegistry:
    """All of them; *retriever* gives what searches the index that serves now, *asker* asks data sources.

    Raises:
        StartError: a module of TOOL_MODULES, or what is kept of an MCP server, cannot be used; it says which, and why.
    """
    try:
        own = [
            make_search_tool(retriever),
            make_data_tool(asker),
            make_chart_tool(asker),
        ]
        return ToolRegistry([*own, *_load_modules(settings.tool_modules), *make_mcp_tools(settings)])
    except UnusableTool as exc:
        raise StartError(f"TOOL_MODULES: {exc}") from exc


def list_tools(settings: Settings) -> ToolRegistry:
    """The tools by their names and descriptions alone; they cannot be called.

    Raises:
        StartError: as `open_tools`.
    """

    def refuse() -> Retriever:
        raise RuntimeError("nothing is searched here")

    return open_tools(settings, refuse, _NoSources())


class _NoSources:
    """Data sources that are asked nothing."""

    async def ask(
        self, ctx: Principal, question: str, source_name: str | None, chat: BaseChatModel | None = None
    ) -> DataAnswer:
        raise RuntimeError("nothing is asked here")

    async def ask_followup(self, ctx: Principal, question: str, last: LastResult) -> DataAnswer:
        raise RuntimeError("nothing is asked here")

    async def match_sources(self, ctx: Principal, question: str) -> list[dict[str, str]]:
        return []

    async def explain_refusal(self, ctx: Principal, question: str) -> str:
        return ""

    async def match_followup(self, ctx: Principal, question: str, last: LastResult) -> bool:
        return False

    async def read_stamp(self, ctx: Principal, source_id: str) -> str:
        raise RuntimeError("nothing is asked here")

    async def list_examples(self, ctx: Principal, source_name: str | None, language: str) -> list[str]:
        return []


def make_tool_limits(settings: Settings) -> ToolLimits:
    """How much a turn may do with them."""
    return ToolLimits(
        steps=settings.tool_max_steps,
        calls=settings.tool_max_calls,
        tokens=settings.tool_max_tokens,
        seconds=settings.tool_max_seconds,
        head_rows=settings.head_rows,
    )


def _load_modules(names: list[str]) -> Iterator[Tool]:
    for name in names:
        try:
            tools = import_module(name).make_tools()
        except Exception as exc:  # whatever a module of others raises
            raise UnusableTool(f"{name}: {type(exc).__name__}: {exc}") from exc
        yield from tools
