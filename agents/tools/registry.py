"""The tools of a service, by name. Filled where the service is wired; bots name those that they may use."""

from collections.abc import Iterable, Sequence

from agents.tools.tool import Tool, UnusableTool
from utils.validation import refuse_field

SEARCH_DOCUMENTS = "search_documents"
"""The tool that every bot has: it searches what the bot answers from."""


class ToolRegistry:
    """All tools there are.

    Raises:
        UnusableTool: two have the same name.
    """

    def __init__(self, tools: Iterable[Tool] = ()) -> None:
        self._tools: dict[str, Tool] = {}
        for tool in tools:
            if tool.name in self._tools:
                raise UnusableTool(f"There are two tools with the name {tool.name!r}.")
            self._tools[tool.name] = tool

    @property
    def names(self) -> Sequence[str]:
        """The names of all tools, sorted."""
        return sorted(self._tools)

    def list_tools(self) -> Sequence[Tool]:
        """All of them, in the same order."""
        return [self._tools[name] for name in self.names]

    def choose(self, names: Iterable[str]) -> list[Tool]:
        """The search, and the tools of these names, as far as they are there."""
        unique = dict.fromkeys((SEARCH_DOCUMENTS, *names))
        return [self._tools[name] for name in unique if name in self._tools]

    def check(self, names: Iterable[str], *, field: str) -> None:
        """Return where each of *names* is a tool.

        Raises:
            BadInput: one is not; it names those that there are.
        """
        for name in names:
            if name not in self._tools:
                raise refuse_field(f"There is no tool {name!r}. There are: {', '.join(self.names)}.", field)
