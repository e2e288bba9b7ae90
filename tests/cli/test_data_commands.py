"""`flask data`: data sources of two tenants, whose addresses are read from the input and shown to nobody."""

import json
import shlex
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from flask import Flask

from cli.commands import register_commands
from cli.operator import configure
from config import load_settings
from domain.db_opening import open_database
from tests.cli.stored import OLD
from tests.datasources.staff import make_sqlite_file
from tests.domain.records import two_tenants
from tests.fakes.model_server import FakeModelServer


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., Result]:
    """`flask data`, with what it is given as input."""
    (tmp_path / "data").mkdir()
    (tmp_path / "databases" / "acme").mkdir(parents=True)
    make_sqlite_file(tmp_path / "databases" / "acme" / "staff.db")
    two_tenants(f"sqlite:///{tmp_path / 'data' / 'pustaka.db'}").close()
    return make_run(tmp_path)


def make_run(tmp_path: Path, **more: Any) -> Callable[..., Result]:
    """The same with *more* settings, on the data that is there."""
    app = Flask("pustaka")
    settings = load_settings(
        _env_file=None,
        data_dir=tmp_path / "data",
        state_encryption_keys=OLD,
        data_source_dir=tmp_path / "databases",
        data_source_networks=["127.0.0.1"],
        **more,
    )
    configure(app, settings, lambda: open_database(settings.database_address))
    register_commands(app)

    def invoke(*arguments: str, given: str | None = None) -> Result:
        return app.test_cli_runner().invoke(args=["data", *arguments], input=given)

    return invoke


def test_files_of_two_tenants_become_sources_are_replaced_and_deleted(
    run: Callable[..., Result], tmp_path: Path
) -> None:
    file, empty, kept = tmp_path / "sales.csv", tmp_path / "empty.csv", tmp_path / "data" / "uploaded-tables"
    file.write_text("shop,amount\nNorth,5\nTotal,5\n")
    empty.write_text("")
    for tenant in ("acme", "globex"):
        added = run("add", "Sales", str(file), "--tenant", tenant)
        assert added.exit_code == 0, added.output
        assert "sales: 2 rows of sales.csv, 2 columns\n" in added.stdout
    refused = run("add", "Other", str(file), str(empty), "--tenant", "acme")
    assert (refused.exit_code, refused.stderr) == (1, "Error: empty.csv: It is empty.\n")
    tables = json.loads(run("schema", "Sales", "--tenant", "acme", "--json").stdout)
    assert tables == [{"table": "sales", "columns": ["shop", "amount"], "allowed_columns": ["shop", "amount"]}]
    file.write_text("shop,amount\nSouth,1\nNorth,2\nWest,3\nTotal,6\n")
    again = run("add", "Sales", str(file), "--tenant", "acme", "--replace")
    assert "sales: 3 rows" in again.stdout
    assert "last row sums up the others" in again.stdout
    assert [len(list((kept / tenant).iterdir())) for tenant in ("acme", "globex")] == [1, 1]
    assert run("add", "None", str(file), "--tenant", "acme", "--replace").exit_code == 1
    assert run("add", "Sales", "--replace", given="sqlite:///x.db\n").exit_code == 2
    assert run("remove", "Sales", "--tenant", "acme").exit_code == 0
    assert [len(list((kept / tenant).iterdir())) for tenant in ("acme", "globex")] == [0, 1]


def test_files_that_replace_others_say_what_is_not_open_yet_and_the_command_that_opens_it(
    run: Callable[..., Result], tmp_path: Path
) -> None:
    file, other = tmp_path / "staff.csv", tmp_path / "other shops.csv"
    other.write_text("shop,city\nNorth,Medan\n")
    for tenant in ("acme", "globex"):
        file.write_text("name,region\nAna,north\n")
        assert "may" not in run("add", "Our staff", str(file), "--tenant", tenant).stdout.lower()
    file.write_text("name,region,pay\nAna,north,5\n")
    replaced = run("add", "Our staff", str(file), "--tenant", "acme", "--replace").stdout.splitlines()
    columns = "--column name --column region --column pay --tenant acme"
    told = f"  May not be read: pay. To open all: flask data allow 'Our staff' staff {columns}"
    assert replaced[1:] == ["staff: 1 rows of staff.csv, 3 columns", told]
    assert run(*shlex.split(told.partition("flask data ")[2])).exit_code == 0
    for tenant, is_open in (("acme", True), ("globex", False)):
        replaced = run("add", "Our staff", str(file), "--tenant", tenant, "--replace").stdout.splitlines()
        assert (len(replaced) == 2) is is_open
    both = run("add", "Our staff", str(file), str(other), "--tenant", "acme", "--replace").stdout.splitlines()
    told = "  Nothing of it may be read. To open all: flask data allow 'Our staff' other_shops --tenant acme"
    assert both[-1] == told
    assert run(*shlex.split(told.partition("flask data ")[2])).exit_code == 0
    assert "other_shops  2 of 2" in run("schema", "Our staff", "--tenant", "acme").stdout


def test_a_source_is_opened_to_visitors_and_closed_again_and_that_of_another_tenant_stays(
    run: Callable[..., Result], tmp_path: Path
) -> None:
    def list_open() -> list[bool]:
        listed = [json.loads(run("list", "--tenant", tenant, "--json").stdout) for tenant in ("acme", "globex")]
        return [each["open_to_visitors"] for rows in listed for each in rows]

    for tenant in ("acme", "globex"):
        assert run("add", "Staff", "--tenant", tenant, given="sqlite:///staff.db\n").exit_code == 0
    assert list_open() == [False, False]
    assert run("open", "Staff", "--tenant", "acme").stdout == "Data source Staff answers visitors.\n"
    assert list_open() == [True, False]
    assert run("close", "Staff", "--tenant", "acme").stdout == "Data source Staff does not answer visitors.\n"
    assert list_open() == [False, False]
    missing = run("open", "Staff", "--tenant", "initech")
    assert (missing.exit_code, missing.stdout) == (1, "")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("add", "x" * 201), "'NAME': Has to have 200 characters or fewer"),
        (("add", " "), "'NAME': Is empty"),
        (("add", "Bad\x1b[2J"), "'NAME': Holds U+001B"),
        (("add", "Staff", "--description", "x" * 2_001), "'--description': Has to have 2000 characters or fewer"),
        (("add", "Staff", "--description", "Bad\u202e"), "'--description': Holds U+202E"),
        (("allow", "Staff", "employees", "--description", "x" * 2_001), "2000 characters or fewer"),
        (("allow", "Staff", "employees", "--synonym", "x" * 81), "'--synonym': Has to have 80 characters or fewer"),
        (("allow", "Staff", "employees", "--synonym", "a\nb"), "'--synonym': Holds U+000A"),
        (("allow", "Staff", "employees", "--filter", "name = '\u2066'"), "'--filter': Holds U+2066"),
    ],
)
def test_a_text_that_is_too_long_or_hides_something_is_refused_and_never_cut(
    run: Callable[..., Result], arguments: tuple[str, ...], told: str
) -> None:
    refused = run(*arguments, "--tenant", "acme", given="sqlite:///staff.db\n")
    assert (refused.exit_code, told in refused.stderr) == (2, True), refused.output
    assert run("list", "--tenant", "acme").stdout == "No data sources.\n"


def test_sources_of_two_tenants_are_added_listed_tested_opened_and_removed(run: Callable[..., Result]) -> None:
    for tenant in ("acme", "globex"):
        added = run("add", "Staff", "--tenant", tenant, given="sqlite:///staff.db\n")
        assert (added.exit_code, "Data source Staff added at staff.db: " in added.stdout) == (0, True), added.output
    closed = "postgresql://u:s3cret-pw@127.0.0.1:1/d"
    assert run("add", "Away", "--tenant", "acme", given=closed).exit_code == 0
    taken = run("add", "Staff", "--tenant", "acme", given="sqlite:///staff.db\n")
    already = "Error: There is a data source 'Staff' already: choose another name, or change that one.\n"
    assert (taken.exit_code, taken.stderr) == (1, already)
    wrong = run("add", "Wrong", given="postgresql://u:s3cret-pw@10.0.0.1/d\n")
    assert (wrong.exit_code, "DATA_SOURCE_NETWORKS" in wrong.stderr) == (1, True)
    listed = json.loads(run("list", "--tenant", "acme", "--json").stdout)
    assert [(each["name"], each["location"]) for each in listed] == [("Staff", "staff.db"), ("Away", "127.0.0.1:1/d")]
    assert "127.0.0.1:1/d" in (table := run("list", "--tenant", "acme").stdout)
    tested = [run("test", "Staff", "--tenant", tenant) for tenant in ("acme", "globex")]
    assert [each.exit_code for each in tested] == [0, 1]
    assert tested[0].stdout == "It can be read.\n"
    away = run("test", "Away", "--tenant", "acme")
    assert (away.exit_code, away.stdout) == (1, "PostgreSQL at 127.0.0.1:1 does not answer.\n")
    assert "s3cret-pw" not in wrong.output + table + away.output
    early = run("allow", "Staff", "cities", "--tenant", "acme")
    assert (early.exit_code, "flask data schema" in early.stderr) == (1, True), early.output
    tables = json.loads(run("schema", "Staff", "--tenant", "acme", "--json").stdout)
    assert {"table": "cities", "columns": ["name"], "allowed_columns": []} in tables
    opened = run("allow", "Staff", "employees", "--tenant", "acme", "--column", "name", "--filter", "region = 'north'")
    assert opened.stdout == "May be read of employees in Staff: name, where region = 'north'\n", opened.output
    more = run("allow", "Staff", "employees", "--tenant", "acme", "--column", "name", "--column", "region")
    assert more.stdout == "May be read of employees in Staff: name, region, where region = 'north'\n"
    assert "employees  2 of 4" in run("schema", "Staff", "--tenant", "acme").stdout
    for arguments, told in (
        (("employees", "--column", "pay"), "no column 'pay'"),
        (("vaults",), "no table 'vaults'"),
        (("employees", "--filter", "1 = 1; DROP TABLE cities"), "Only one SELECT"),
        (("employees", *["--synonym", "x"] * 51), "50 synonyms"),
    ):
        refused = run("allow", "Staff", *arguments, "--tenant", "acme")
        assert (refused.exit_code, told in refused.stderr) == (1, True), refused.output
    assert run("allow", "Staff", "cities", "--tenant", "globex").exit_code == 1
    assert json.loads(run("list", "--tenant", "acme", "--json").stdout)[0]["allowed_tables"] == 1
    assert run("deny", "Staff", "employees", "--tenant", "acme").exit_code == 0
    assert json.loads(run("list", "--tenant", "acme", "--json").stdout)[0]["allowed_tables"] == 0
    assert run("remove", "Staff", "--tenant", "globex").stdout == "Data source Staff is removed.\n"
    assert run("list", "--tenant", "globex").stdout == "No data sources.\n"
    assert run("remove", "Staff", "--tenant", "globex").exit_code == 1


def test_a_glossary_is_proposed_part_by_part_shown_and_accepted(
    run: Callable[..., Result], model_server: FakeModelServer, tmp_path: Path
) -> None:
    tables = [f"t{number}" for number in range(8)]
    with closing(sqlite3.connect(tmp_path / "databases" / "acme" / "wide.db")) as connection, connection:
        for name in tables:
            connection.execute(f"CREATE TABLE {name} ({', '.join(f'c{number} TEXT' for number in range(40))})")
    run("add", "Wide", "--tenant", "acme", given="sqlite:///wide.db\n")
    run("schema", "Wide", "--tenant", "acme")
    for name in tables:
        assert run("allow", "Wide", name, "--tenant", "acme").exit_code == 0
    propose = "propose-glossary", "Wide", "--tenant", "acme"
    refused = run(*propose)
    assert (refused.exit_code, "No language model is configured" in refused.stderr) == (1, True), refused.output
    columns = {"c0": {"description": "A place", "synonyms": ["kota"]}, "c1": {"synonyms": ["a\u202eb"]}}
    said = {"t7": {"synonyms": ["lugares"], "name_column": "c0", "columns": columns}}
    model_server.reset()
    model_server.configure(replies={'"table": "t7"': json.dumps({"tables": said})}, tokens=3)
    with_model = make_run(tmp_path, llm_base_url=model_server.base_url, llm_max_retries=0)
    shown = with_model(*propose)
    lines = ["t7: – (lugares)", "  rows are known by c0", "  c0: A place (kota)"]
    assert shown.stdout.splitlines() == [*lines, "Proposed for 1 table; --accept stores it."], shown.output
    assert "6 of 8 tables\n8 of 8 tables\n" in shown.stderr
    assert "hidden characters: left out" in shown.stderr
    assert len(model_server.requests()) == len(tables)
    assert with_model(*propose, "--table", "t7", "--accept").stdout.splitlines()[-1] == "Stored for 1 table."
    again = with_model(*propose, "--table", "t7", "--json")
    assert (again.exit_code, json.loads(again.stdout)) == (0, {})
    wrong = with_model(*propose, "--table", "none")
    assert (wrong.exit_code, "no table 'none'" in wrong.stderr) == (1, True)
    assert with_model("propose-glossary", "Wide", "--tenant", "globex").exit_code == 1
    model_server.configure(faults=[{"kind": "status", "times": -1}])
    assert with_model(*propose).exit_code == 1
