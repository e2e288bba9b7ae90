"""The sample database: where it lies, registered for a tenant, opened to questions, and taken away again."""

from pathlib import Path

from sqlalchemy.orm import Session

from agents.tools.chart import DRAW_CHART
from agents.tools.data import QUERY_DATA
from auth.principal import DEFAULT_BOT, Principal
from bootstrap.savers import make_keyring
from bootstrap.source_opening import make_spec
from config import SAMPLES, SOURCES_FOLDER, Settings
from datasources.catalog import dump_schema
from datasources.sample_maintenance import SAMPLE_FILE, load_tables, read_mark, write_database
from datasources.schema import SchemaLimits
from datasources.sqlite import SqliteSource
from datasources.stopping import Stop
from domain.bots import BotAnswers, change_bot, create_bot, get_bot, remove_bot
from domain.data_source_secrets import store_schema
from domain.data_sources import change_source, create_source, find_located, remove_source
from domain.db import Database
from ingestion.pipeline import has_own_documents
from utils.errors import Conflict, NotFound
from utils.validity import today

NAME = "Maintenance"
_DESCRIPTION = "Sample data: the machines of an invented plant, when maintenance is due, and what was done."
_TOOLS = (QUERY_DATA, DRAW_CHART)
_BY_START, _BY_COMMAND = 1, 2  # who made the file: what a command made stays
_NO_FOLDER = "There is no folder for SQLite files: set DATA_SOURCE_DIR."


def populate_by_command(settings: Settings, database: Database, ctx: Principal, bot_id: str) -> str:
    """Make the sample database for the tenant, and let its bot *bot_id* answer from it. Gives the data source's name.

    Raises:
        Conflict: there is no folder for it, or another data source of this name.
        NotFound: there is no such bot.
    """
    file = _find_file(settings, ctx)
    if file is None:
        raise Conflict(_NO_FOLDER)
    name = _populate(settings, database, ctx, file, _BY_COMMAND, bot_id)
    with database.open_write_session() as session:
        _add_tool(session, ctx, bot_id)
    return name


def follow_samples(settings: Settings, database: Database, ctx: Principal) -> None:
    """Make the sample database, or bring it up to date, where the sample documents are loaded by themselves.

    Once there are other documents, or stores, it goes with them, unless a command has made it.
    """
    file = _find_file(settings, ctx) or settings.data_dir / SOURCES_FOLDER / ctx.tenant_id / SAMPLE_FILE
    mark = read_mark(file)
    if mark == _BY_COMMAND:
        return
    keeps_samples = mark == _BY_START and settings.knowledge_dir == SAMPLES
    is_first = settings.knowledge_dir is None and not settings.has_own_stores and not has_own_documents(database)
    if keeps_samples or is_first:
        _populate(settings, database, ctx, file, _BY_START, DEFAULT_BOT)
    elif mark == _BY_START:
        _retire(database, ctx, file)


def refresh_sample_data(settings: Settings, database: Database, ctx: Principal) -> None:
    """Make the dates of the sample database those of today, if a start has made it and it is still used."""
    file = _find_file(settings, ctx)
    if file is None or read_mark(file) != _BY_START:
        return
    with database.open_read_session() as session:
        is_used = find_located(session, ctx, "sqlite", SAMPLE_FILE) is not None
    if is_used:
        _populate(settings, database, ctx, file, _BY_START, DEFAULT_BOT)


def _retire(database: Database, ctx: Principal, file: Path) -> None:
    """Take the sample database away, and the bot's tool if nothing else is said of the bot."""
    with database.open_write_session() as session:
        if (row := find_located(session, ctx, "sqlite", SAMPLE_FILE)) is not None:
            remove_source(session, row)
        _remove_tool(session, ctx)
    file.unlink(missing_ok=True)


def _find_file(settings: Settings, ctx: Principal) -> Path | None:
    folder = settings.data_source_folder
    return folder / ctx.tenant_id / SAMPLE_FILE if folder else None


def _populate(settings: Settings, database: Database, ctx: Principal, file: Path, mark: int, bot_id: str) -> str:
    """Gives the name of its data source. Only where that is new, the bot gets the tool."""
    file.parent.mkdir(parents=True, exist_ok=True)
    is_new = write_database(file, today(), mark=mark)
    with database.open_read_session() as session:
        row = find_located(session, ctx, "sqlite", SAMPLE_FILE)
        if row is not None and not is_new:
            return row.name
    schema = dump_schema(SqliteSource(file).read_schema(SchemaLimits(), Stop()))
    keys = make_keyring(settings)
    with database.open_write_session() as session:
        row = find_located(session, ctx, "sqlite", SAMPLE_FILE)
        if row is None:
            spec = make_spec(settings, ctx, f"sqlite:///{SAMPLE_FILE}", "sqlite")
            row = create_source(session, ctx, NAME, _DESCRIPTION, spec, keys)
            change_source(session, row, allowed_tables=load_tables(), open_to_visitors=True)
            _add_tool(session, ctx, bot_id)
        store_schema(row, schema, keys)
        return row.name


def _add_tool(session: Session, ctx: Principal, bot_id: str) -> None:
    try:
        answers = get_bot(session, ctx, bot_id).answers
    except NotFound:
        if bot_id != DEFAULT_BOT:
            raise
        create_bot(session, ctx, DEFAULT_BOT, "Default", BotAnswers(tools=[*_TOOLS]))
        return
    tools = answers.get("tools", [])
    if missing := [name for name in _TOOLS if name not in tools]:
        change_bot(session, ctx, bot_id, answers={**answers, "tools": [*tools, *missing]})


def _remove_tool(session: Session, ctx: Principal) -> None:
    try:
        answers = get_bot(session, ctx, DEFAULT_BOT).answers
    except NotFound:
        return
    if answers == BotAnswers(tools=[*_TOOLS]):
        remove_bot(session, ctx, DEFAULT_BOT)
