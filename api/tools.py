"""`/v1/tenant/tools`: the tools that a bot may name."""

from bisect import bisect_right
from collections.abc import Sequence
from typing import Any

from flask import Response
from flask_openapi3 import APIBlueprint, Tag
from pydantic import BaseModel, Field

from agents.tools.tool import Tool
from api.access import requires
from api.datasets import make_responses
from api.paging import PageOut, PageQuery, make_page_members, read_part_query
from api.responses import respond
from api.services import services
from auth.principal import Principal
from auth.scopes import Scope
from domain.paging import Part, Rows

tools_blueprint = APIBlueprint("tools", __name__, abp_tags=[Tag(name="Bots", description="Assistants of a tenant.")])


class ToolOut(BaseModel):
    """A tool."""

    name: str = Field(description="How bots name it.", examples=["book_room"])
    description: str = Field(description="What it does and when it is of use, for models and people.")
    parameters: dict[str, Any] = Field(description="The JSON Schema (draft 2020-12) of its arguments.")
    has_side_effects: bool = Field(description="It changes something: think of `approvals`.")
    scopes: list[str] = Field(description="What a key must have for the tool to be offered to it; empty: nothing.")


class ToolsOut(PageOut):
    """A part of the tools, in the order of the alphabet."""

    available_tools: list[ToolOut]


@tools_blueprint.get(
    "/v1/tenant/tools",
    operation_id="listTools",
    summary="List the tools that bots may use",
    responses=make_responses(200, ToolsOut),
)
@requires(Scope.BOTS_WRITE)
async def index(ctx: Principal, query: PageQuery) -> Response:
    """A part of them: those of the service, the same for each tenant."""
    part = read_part_query(query, str)
    found = _read_part(services().tools.list_tools(), part)
    return respond(ToolsOut(available_tools=[_describe(tool) for tool in found.rows], **make_page_members(found, part)))


def _read_part(tools: Sequence[Tool], part: Part) -> Rows[Tool]:
    names = [tool.name for tool in tools]
    start = part.offset if part.after is None else bisect_right(names, part.after[0])
    rows = list(tools[start : start + part.limit])
    return Rows(rows, len(tools), (rows[-1].name,) if rows and rows[-1] is not tools[-1] else None)


def _describe(tool: Tool) -> ToolOut:
    return ToolOut(
        name=tool.name,
        description=tool.description,
        parameters=dict(tool.parameters),
        has_side_effects=tool.has_side_effects,
        scopes=sorted(tool.scopes),
    )
