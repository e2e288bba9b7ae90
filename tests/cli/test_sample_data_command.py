"""`flask populate-sample-db`: for the tenant and the bot that are named, and where there is room for it."""

import json
from pathlib import Path

from click.testing import Result
from flask import Flask

from auth.operators import make_operator
from cli.commands import register_commands
from cli.operator import configure
from config import Settings, load_settings
from domain import bots
from domain.db_opening import open_database
from domain.keys import ensure_tenant


def run(settings: Settings, *arguments: str) -> Result:
    app = Flask("pustaka")
    configure(app, settings, lambda: open_database(settings.database_address))
    register_commands(app)
    return app.test_cli_runner().invoke(args=list(arguments))


def test_the_sample_database_is_made_for_the_tenant_and_bot_that_are_named(tmp_path: Path) -> None:
    settings = load_settings(_env_file=None, data_dir=tmp_path / "data")
    settings.data_dir.mkdir()
    database = open_database(settings.database_address)
    database.migrate()
    with database.open_write_session() as session:
        ensure_tenant(session, "acme")
        bots.create_bot(session, make_operator("acme"), "plant", "Plant", {"top_k": 3})
    for _ in range(2):
        made = run(settings, "populate-sample-db", "--tenant", "acme", "--bot", "plant")
        told = "Ask the bot plant: How many machines are due for maintenance this month?"
        assert (made.exit_code, told in made.stdout) == (0, True), made.output
    listed = json.loads(run(settings, "data", "list", "--tenant", "acme", "--json").stdout)
    assert [(each["name"], each["allowed_tables"]) for each in listed] == [("Maintenance", 7)]
    assert run(settings, "data", "test", "Maintenance", "--tenant", "acme").stdout == "It can be read.\n"
    assert run(settings, "data", "list").stdout == "No data sources.\n"
    with database.open_read_session() as session:
        answers = bots.get_bot(session, make_operator("acme"), "plant").answers
    assert answers == {"top_k": 3, "tools": ["query_data", "draw_chart"]}
    for tools, version in (
        (["query_data"], 2),
        (["query_data", "draw_chart"], 3),
    ):  # nothing was said of it
        said = run(settings, "bot", "set", "default", "--tenant", "acme", *(f"--tool={name}" for name in tools))
        assert said.stdout == f"Bot default is on, version {version}.\n", said.output
    assert run(settings, "bot", "set", "none", "--tenant", "acme", "--tool", "query_data").exit_code == 1
    with database.open_read_session() as session:
        assert bots.get_bot(session, make_operator("acme"), "default").answers == {"tools": tools}
    database.close()
    for arguments, why in ((("--tenant", "globex"), "globex"), (("--tenant", "acme", "--bot", "none"), "none")):
        refused = run(settings, "populate-sample-db", *arguments)
        assert (refused.exit_code, why in refused.stderr) == (1, True), refused.output
    shared = settings.model_copy(update={"redis_host": "127.0.0.1", "qdrant_url": "http://127.0.0.1:1"})
    refused = run(shared, "populate-sample-db", "--tenant", "acme", "--bot", "plant")
    assert (refused.exit_code, "DATA_SOURCE_DIR" in refused.stderr) == (1, True), refused.output
