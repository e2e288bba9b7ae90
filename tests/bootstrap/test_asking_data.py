"""The tool `query_data` over the data sources of two tenants: each asks its own, and reads what is opened alone."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from agents.bots import BotConfig
from agents.tools.data import make_data_tool
from agents.tools.tool import Tool, ToolCall, ToolFailed
from auth.operators import make_operator
from auth.principal import Principal
from auth.scopes import Scope
from bootstrap.data_sources import DataSources, make_spec
from config import Settings, load_settings
from domain import data_sources
from domain.db import Database, open_database
from domain.keys import ensure_tenant
from tests.datasources.staff import make_sqlite_file
from utils.checkpointer.cipher import Keyring

KEYS = Keyring({"first": bytes(32)})


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    for tenant in ("acme", "globex"):
        (tmp_path / "databases" / tenant).mkdir(parents=True)
        make_sqlite_file(tmp_path / "databases" / tenant / "staff.db")
    return load_settings(_env_file=None, data_dir=tmp_path / "data", data_source_dir=tmp_path / "databases")


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    with closing(open_database(f"sqlite:///{tmp_path / 'records.db'}")) as opened:
        opened.migrate()
        yield opened


def add_source(database: Database, settings: Settings, ctx: Principal, name: str) -> str:
    with database.writing() as session:
        ensure_tenant(session, ctx.tenant_id)
        spec = make_spec(settings, ctx, "sqlite:///staff.db", "sqlite")
        return data_sources.create_source(session, ctx, name, "", spec, KEYS).source_id


def open_tables(database: Database, ctx: Principal, source_id: str, row_filter: str) -> None:
    said = {"description": "", "synonyms": ["people"], "row_filter": row_filter}
    columns = {name: {"description": "", "synonyms": []} for name in ("name", "region")}
    with database.writing() as session:
        row = data_sources.get_source(session, ctx, source_id, lock=True)
        data_sources.change_source(
            session,
            row,
            name=row.name,
            description="",
            allowed_tables={"employees": {**said, "allowed_columns": columns}},
            spec=None,
            keys=KEYS,
        )


async def ask(tool: Tool, ctx: Principal, question: str, **more: str) -> str:
    return (await tool.run(ToolCall(ctx, BotConfig(), {"question": question, **more}, "key"))).text


async def test_each_tenant_asks_its_own_data_source_within_what_it_opened(
    database: Database, settings: Settings
) -> None:
    acme, globex = make_operator("acme"), make_operator("globex")
    with closing(DataSources(settings, database, KEYS)) as sources:
        tool = make_data_tool(sources.ask)
        assert tool.scopes == {Scope.DATA_SOURCES_READ}
        staff = add_source(database, settings, acme, "Staff")
        with pytest.raises(ToolFailed, match="allowed_tables"):
            await ask(tool, acme, "How many people are there?")
        await sources.read_schema(acme, staff)
        open_tables(database, acme, staff, "region = 'north'")
        told = await ask(tool, acme, "How many people are there?")
        assert "number of employees (data source Staff)" in told
        assert "number of employees: 2." in told
        for question, refusal in (
            (
                "How many people are in Jakarta?",
                "'jakarta' is not understood.* Questions that work: How many employees",
            ),
            ("How many people are called CANARY-ROW?", "'canary' is not understood"),
            ("What is the salary of Ana?", "'salary' is not understood"),
        ):
            with pytest.raises(ToolFailed, match=refusal):
                await ask(tool, acme, question)
        with pytest.raises(ToolFailed, match="There are no data sources"):
            await ask(tool, globex, "How many people are there?")
        with pytest.raises(ToolFailed, match="not found"):
            await ask(tool, globex, "How many people are there?", data_source="Staff")
        add_source(database, settings, acme, "More")
        with pytest.raises(ToolFailed, match="several data sources: name one, such as Staff, More"):
            await ask(tool, acme, "How many people are there?")
        assert "2." in await ask(tool, acme, "How many people are there?", data_source="Staff")
        open_tables(database, acme, staff, "region = {user.region}")
        with pytest.raises(ToolFailed, match="'region', which is not known"):
            await ask(tool, acme, "How many people are there?", data_source="Staff")
        open_tables(database, acme, staff, "")
        (settings.data_source_dir or Path()).joinpath("acme", "staff.db").unlink()
        with pytest.raises(ToolFailed, match="missing"):
            await ask(tool, acme, "How many people are there?", data_source="Staff")
