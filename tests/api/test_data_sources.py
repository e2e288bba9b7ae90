"""Data sources over HTTP: each tenant has its own, nobody learns a login, and nothing else is reached."""

import csv
import io
import json
import os
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

from providers.files.results import ResultFiles
from tests.api.test_models import make_keys
from tests.conftest import FAKE_MODEL
from tests.datasources.staff import make_postgres_database, make_sqlite_file
from tests.fakes.model_server import FakeModelServer
from tests.servers.postgres import PostgresServer
from tests.service import Service, ask, one_document
from utils.disk import DiskSpace

SOURCES = "/v1/tenant/data-sources"
PASSWORD = "only-to-read"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, model_server: FakeModelServer) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("sources")
    files = folder / "databases"
    for tenant in ("acme", "globex"):
        (files / tenant).mkdir(parents=True)
        make_sqlite_file(files / tenant / "staff.db")
    make_sqlite_file(folder / "outside.db")
    (files / "acme" / "link.db").symlink_to(folder / "outside.db")
    variables = {
        **FAKE_MODEL,
        "LLM_BASE_URL": model_server.base_url,
        "EMBEDDING_PROVIDER": "embedded",
        "STATE_ENCRYPTION_KEYS": make_keys(),
        "DATA_SOURCE_DIR": str(files),
        "DATA_SOURCE_NETWORKS": "127.0.0.1",
        "RATE_LIMIT_ENABLED": "false",
        "TENANT_MAX_RESULT_BYTES": "45000",  # of two files with 1,500 rows
        **one_document(folder),
    }
    with Service(folder / "data", **variables).watched() as running:
        yield running


@pytest.fixture(scope="module")
def tenants(service: Service) -> Iterator[tuple[httpx.Client, httpx.Client]]:
    with ExitStack() as stack:
        acme, globex = (
            stack.enter_context(service.client(service.new_key(name, ["all"]))) for name in ("acme", "globex")
        )
        yield acme, globex


@pytest.fixture(scope="module")
def postgres_uri(postgres: PostgresServer) -> str:
    url = postgres.new_database()
    make_postgres_database(url)
    return f"postgresql://reader:{PASSWORD}@127.0.0.1:{postgres.port}/{url.rpartition('/')[2]}?sslmode=disable"


def add(client: httpx.Client, name: str, uri: str) -> dict[str, Any]:
    made = client.post(SOURCES, json={"name": name, "type": uri.partition(":")[0], "uri": uri})
    assert made.status_code == 201, made.text
    assert made.headers["Location"] == f"{SOURCES}/{made.json()['id']}"
    shown: dict[str, Any] = made.json()
    return shown


def test_a_source_is_added_tested_read_opened_changed_and_deleted(
    tenants: tuple[httpx.Client, httpx.Client], postgres_uri: str
) -> None:
    acme, globex = tenants
    for uri in ("sqlite:///staff.db", postgres_uri):
        made = add(acme, "Staff", uri)
        path = f"{SOURCES}/{made['id']}"
        assert (made["allowed_tables"], made["schema_read_at"], made["version"]) == ({}, None, 1)
        tested = acme.post(f"{path}/test").json()
        assert (tested["answers"], tested["detail"], tested["notes"]) == (True, None, [])
        early = acme.patch(path, json={"allowed_tables": {"cities": {}}})
        assert (early.status_code, "/schema" in early.json()["detail"]) == (409, True)
        schema = acme.post(f"{path}/schema").json()
        assert schema == acme.get(f"{path}/schema").json()
        cities = next(table for table in schema["tables"] if table["name"] == "cities")
        assert cities["fields"][0]["samples"] in (["Bandung", "Concepción"], ["Concepción", "Bandung"])
        assert (schema["complete"], cities["may_be_read"]) == (True, False)
        employees = {
            "allowed_columns": {"name": {"synonyms": ["nama", "nombre"]}, "region": {}},
            "row_filter": "region = {user.region}",
            "description": "Who works here",
        }
        changed = acme.patch(
            path, json={"allowed_tables": {"cities": {}, "employees": employees}, "description": "Staff"}
        )
        assert changed.status_code == 200, changed.text
        tables = changed.json()["allowed_tables"]
        assert list(tables["cities"]["allowed_columns"]) == ["name"]
        assert tables["employees"]["allowed_columns"]["name"]["synonyms"] == ["nama", "nombre"]
        assert (changed.json()["version"], changed.json()["location"]) == (2, made["location"])
        stale = acme.patch(path, json={"name": "S"}, headers={"If-Match": '"other"'})
        assert (stale.status_code, stale.json()["current"]["version"]) == (412, 2)
        without = acme.patch(
            path,
            json={"allowed_tables": {"cities": None}, "description": " "},
            headers={"If-Match": changed.headers["ETag"]},
        )
        assert (list(without.json()["allowed_tables"]), without.json()["description"]) == (["employees"], "")
        same = acme.patch(path, json={"name": "Staff"})
        assert (same.json()["version"], same.headers["ETag"]) == (3, without.headers["ETag"])
        for method, address in (("GET", path), ("PATCH", path), ("POST", f"{path}/test"), ("GET", f"{path}/schema")):
            other = globex.request(method, address, json={} if method == "PATCH" else None)
            assert other.status_code == 404, address
        assert globex.post(f"{path}/schema").status_code == 404
        assert globex.get(SOURCES).json()["data_sources"] == []
        assert globex.delete(path).status_code == 404
        taken = acme.post(SOURCES, json={"name": "Staff", "type": "sqlite", "uri": "sqlite:///staff.db"})
        assert taken.status_code == 409
        moved = acme.patch(path, json={"uri": "sqlite:///none.db"}).json()
        assert (moved["schema_read_at"], moved["type"], list(moved["allowed_tables"])) == (
            None,
            "sqlite",
            ["employees"],
        )
        assert acme.post(f"{path}/test").json()["answers"] is False
        assert acme.post(f"{path}/schema").status_code == 502
        assert [each["name"] for each in acme.get(SOURCES, params={"limit": 1}).json()["data_sources"]] == ["Staff"]
        assert acme.delete(path).status_code == 204
        assert acme.get(path).status_code == 404


@pytest.mark.parametrize(
    ("uri", "detail"),
    [
        ("sqlite:////etc/passwd", "sqlite:///machines.db"),
        ("sqlite:///../globex/staff.db", "sqlite:///machines.db"),
        ("sqlite:///link.db", "sqlite:///machines.db"),
        ("sqlite:///staff.db?mode=rwc", "sqlite:///machines.db"),
        ("sqlite://", "sqlite:///machines.db"),
        ("sqlite:///:memory:", ""),
        ("postgresql://u:s3cret-pw@10.0.0.1/d", "DATA_SOURCE_NETWORKS"),
        ("postgresql://u:s3cret-pw@[::1]/d", "DATA_SOURCE_NETWORKS"),
        ("postgresql://u:s3cret-pw@127.1/d", "DATA_SOURCE_NETWORKS or nothing"),
        ("postgresql://u:s3cret-pw@localhost/d?host=10.0.0.1", "no parameter but sslmode"),
        ("postgresql://u:s3cret-pw@h/d?service=x", "no parameter but sslmode"),
        ("postgresql://u:s3cret-pw@h/d?sslmode=require&passfile=/x", "no parameter but sslmode"),
        ("postgresql://u:s3cret-pw@%2Ftmp/d", "postgresql://user:password@host"),
        ("postgresql://u:s3cret-pw@a,b/d", "postgresql://user:password@host"),
        ("postgresql://u@h/d", "postgresql://user:password@host"),
        ("postgresql://u:s3cret-pw@h:x/d", "postgresql://user:password@host"),
        ("mysql://u:s3cret-pw@10.0.0.1/d", "DATA_SOURCE_NETWORKS"),
        ("mysql://u:s3cret-pw@h/d?ssl_ca=/etc/passwd", "no parameter but sslmode"),
        ("mysql://u:s3cret-pw@/d", "mysql://user:password@host"),
        ("mysql+mysqldb://u:s3cret-pw@h/d", "mysql://user:password@host"),
        ("postgresql+psycopg2://u:s3cret-pw@h/d", "postgresql://user:password@host"),
        ("s3cret-pw", "postgresql://user:password@host"),
        ("postgresql://u:s3cret-pw@h/d\n", "postgresql://user:password@host"),
        ("postgresql://u:s3cret-pw@h/p%00q", "take it out"),
        ("postgresql://u%00:s3cret-pw@h/d", "take it out"),
        ("mysql://u:s3cret-pw%1b@h/d", "take it out"),
        ("mysql://u:s3cret-pw@h/d%E2%80%AE", "take it out"),
        ("sqlite:///staff%0A.db", "take it out"),
        ("x" * 2001, "2000 characters"),
        ("", "characters"),
    ],
)
def test_an_address_that_may_not_be_is_refused_without_being_repeated(
    tenants: tuple[httpx.Client, httpx.Client], uri: str, detail: str
) -> None:
    acme = tenants[0]
    type_ = next((kind for kind in ("sqlite", "mysql") if uri.startswith(kind)), "postgresql")
    made = acme.post(SOURCES, json={"name": "Wrong", "type": type_, "uri": uri})
    if made.status_code == 201:  # what only a connection tells
        path = f"{SOURCES}/{made.json()['id']}"
        tested = acme.post(f"{path}/test").json()
        assert acme.delete(path).status_code == 204
        assert (tested["answers"], "s3cret-pw" in str(tested)) == (False, False)
        assert detail in ("", "DATA_SOURCE_NETWORKS or nothing")
        return
    assert made.status_code == 400, made.text
    assert "s3cret-pw" not in made.text
    assert detail.partition(" or nothing")[0] in made.text


@pytest.mark.parametrize("text", ["Bad\x1b[2J", "Bad\x9b2J", "Bad\u202etxt", "Bad\u2066", "Bad\ufeff", "Bad\U000e0041"])
def test_texts_that_hide_something_are_refused_and_say_what(
    tenants: tuple[httpx.Client, httpx.Client], text: str
) -> None:
    acme = tenants[0]
    path, file = f"{SOURCES}/{add(acme, 'Staff', 'sqlite:///staff.db')['id']}", {"files": ("a.csv", "a,b\n1,2\n")}
    new = {"name": "New", "type": "sqlite", "uri": "sqlite:///staff.db"}
    for field in ("name", "description"):
        for refused in (
            acme.post(SOURCES, json={**new, field: text}),
            acme.patch(path, json={field: text}),
            acme.post(f"{SOURCES}/upload", data={"name": "New", field: text}, files=file),
        ):
            assert refused.status_code == 400, refused.text
            assert f"Holds U+{ord(text[3]):04X}, a character that is not shown" in refused.text
    assert acme.patch(path, json={"name": "Mañana \u200d👩\u200d🔧", "description": "One\n\tTwo"}).status_code == 200
    assert acme.patch(path, json={"name": "One\nTwo"}).status_code == 400
    assert acme.delete(path).status_code == 204


_COLUMNS: dict[str, Any] = {
    "name": {"description": "Full name", "synonyms": ["nama"]},
    "region": {"description": "", "synonyms": []},
}
_SAID: dict[str, Any] = {
    "description": "People",
    "synonyms": ["karyawan"],
    "allowed_columns": _COLUMNS,
    "row_filter": "region = 'north'",
    "name_column": "name",
}
_UNSAID: dict[str, Any] = {"description": "", "synonyms": []}


@pytest.mark.parametrize(
    ("sent", "changed"),
    [
        ({}, {}),
        ({"description": "Who works here"}, {"description": "Who works here"}),
        ({"row_filter": "region = 'south'"}, {"row_filter": "region = 'south'"}),
        ({"row_filter": ""}, {"row_filter": ""}),
        (
            {"description": None, "synonyms": None, "row_filter": None, "name_column": None},
            {**_UNSAID, "row_filter": "", "name_column": None},
        ),
        (
            {"allowed_columns": {"name": {"description": "Name"}}},
            {"allowed_columns": {"name": {"description": "Name", "synonyms": ["nama"]}}},
        ),
        ({"allowed_columns": None}, {"allowed_columns": {"id": _UNSAID, **_COLUMNS, "salary": _UNSAID}}),
    ],
)
def test_what_is_not_said_of_a_table_stays_as_it_was_and_nothing_of_another_tenant_changes(
    tenants: tuple[httpx.Client, httpx.Client], sent: dict[str, Any], changed: dict[str, Any]
) -> None:
    paths = [f"{SOURCES}/{add(client, 'Kept', 'sqlite:///staff.db')['id']}" for client in tenants]
    for client, path in zip(tenants, paths, strict=True):
        assert client.post(f"{path}/schema").is_success
        opened = client.patch(path, json={"allowed_tables": {"employees": _SAID, "cities": {}}})
        assert opened.json()["allowed_tables"]["employees"] == _SAID, opened.text
    assert tenants[1].patch(paths[0], json={"allowed_tables": {"employees": sent}}).status_code == 404
    patched = tenants[0].patch(paths[0], json={"allowed_tables": {"employees": sent}})
    assert patched.status_code == 200, patched.text
    assert patched.json()["allowed_tables"]["employees"] == {**_SAID, **changed}
    assert list(patched.json()["allowed_tables"]["cities"]["allowed_columns"]) == ["name"]
    assert tenants[1].get(paths[1]).json()["allowed_tables"]["employees"] == _SAID
    for client, path in zip(tenants, paths, strict=True):
        assert client.delete(path).status_code == 204


def test_what_cannot_be_said_of_tables_is_refused_by_name(tenants: tuple[httpx.Client, httpx.Client]) -> None:
    acme = tenants[0]
    path = f"{SOURCES}/{add(acme, 'Staff', 'sqlite:///staff.db')['id']}"
    acme.post(f"{path}/schema")
    for said, where in (
        ({"none": {}}, "allowed_tables.none"),
        ({"sqlite_master": {}}, "allowed_tables.sqlite_master"),
        ({"cities": {"allowed_columns": {"x": {}}}}, "allowed_tables.cities.allowed_columns.x"),
        ({"cities": {"allowed_columns": {}}}, "allowed_tables.cities.allowed_columns"),
        ({"cities": {"row_filter": "region = 'x'"}}, "allowed_tables.cities.row_filter"),
        ({"cities": {"row_filter": "name = '\u202e'"}}, "allowed_tables.cities.row_filter"),
        ({"cities": {"description": "\x1b[2J"}}, "allowed_tables.cities.description"),
        ({"cities": {"synonyms": ["kota", "ko\nta"]}}, "allowed_tables.cities.synonyms.1"),
        (
            {"cities": {"allowed_columns": {"name": {"synonyms": ["\u200b"]}}}},
            "allowed_tables.cities.allowed_columns.name.synonyms.0",
        ),
        ({"cities": {"row_filter": "name IN (SELECT secret FROM vault)"}}, "allowed_tables.cities.row_filter"),
        ({"cities": {"row_filter": "name = '{user.city}'"}}, "allowed_tables.cities.row_filter"),
        ({"cities": {"row_filter": "1 = 1; DROP TABLE cities"}}, "allowed_tables.cities.row_filter"),
        ({"cities": {"row_filter": "1 = 1 ORDER BY name"}}, "allowed_tables.cities.row_filter"),
        ({"cities": {"row_filter": "load_extension('x')"}}, "allowed_tables.cities.row_filter"),
        ({"cities": {"synonyms": ["x" * 81]}}, "allowed_tables.cities.synonyms"),
    ):
        refused = acme.patch(path, json={"allowed_tables": said})
        assert refused.status_code == 400, said
        assert refused.json()["errors"][0]["field"].startswith(where), refused.text
    assert acme.get(path).json()["allowed_tables"] == {}
    assert acme.delete(path).status_code == 204


def test_a_glossary_is_proposed_for_what_may_be_read_and_accepted_by_patch(
    tenants: tuple[httpx.Client, httpx.Client], model_server: FakeModelServer
) -> None:
    acme, globex = tenants
    path = f"{SOURCES}/{add(acme, 'Staff', 'sqlite:///staff.db')['id']}"
    proposals = f"{path}/glossary-proposals"
    acme.post(f"{path}/schema")
    unopened = acme.post(proposals, json={})
    assert (unopened.status_code, "allowed_tables" in unopened.json()["detail"]) == (409, True)
    names = {"name": {"synonyms": ["nama"]}, "region": {}}
    opened = {"employees": {"allowed_columns": names, "row_filter": "region = 'north'"}, "cities": {}}
    assert acme.patch(path, json={"allowed_tables": opened}).is_success
    said = {
        "employees": {
            "description": "One row for each person",
            "synonyms": ["karyawan", "empleados"],
            "name_column": "name",
            "columns": {"name": {"synonyms": ["nama", "apellido"]}, "salary": {"synonyms": ["gaji"]}},
            "row_filter": "",
        },
        "vault": {"description": "Secrets"},
    }
    model_server.reset()
    model_server.configure(replies={"You describe the tables": f"```json\n{json.dumps({'tables': said})}\n```"})
    proposed = acme.post(proposals, json={})
    assert proposed.status_code == 200, proposed.text
    found = proposed.json()
    assert (list(found["allowed_tables"]), found["remaining_table_names"]) == (["employees"], [])
    assert found["notes"] == [
        "The table 'employees' has no column 'salary' that may be read: left out.",
        "There is no table 'vault' that may be read: left out.",
    ]
    [asked] = [json.dumps(each["body"]) for each in model_server.requests()]
    assert "Bandung" in asked
    for hidden in ("salary", "vault", "secret", "CANARY", "Ana", "987654"):  # also of rows that a filter may hide
        assert hidden not in asked
    assert acme.get(path).json()["allowed_tables"]["employees"]["synonyms"] == []  # nothing is stored
    accepted = acme.patch(path, json={"allowed_tables": found["allowed_tables"]}).json()["allowed_tables"]
    assert accepted["employees"] == found["allowed_tables"]["employees"]
    assert (accepted["employees"]["row_filter"], accepted["employees"]["name_column"]) == ("region = 'north'", "name")
    assert accepted["employees"]["allowed_columns"]["name"]["synonyms"] == ["nama", "apellido"]
    assert acme.post(proposals, json={"table_names": ["cities"]}).json()["allowed_tables"] == {}
    for client, body, status in (
        (globex, {}, 404),
        (acme, {"table_names": ["vault"]}, 400),
        (acme, {"table_names": []}, 400),
    ):
        assert client.post(proposals, json=body).status_code == status, body
    wrong = acme.patch(path, json={"allowed_tables": {"cities": {"name_column": "region"}}})
    assert (wrong.status_code, wrong.json()["errors"][0]["field"]) == (400, "allowed_tables.cities.name_column")
    model_server.configure(faults=[{"kind": "status", "times": -1}])
    assert acme.post(proposals, json={}).status_code in (502, 503)
    assert acme.delete(path).status_code == 204


def test_a_login_is_in_no_answer_file_or_log(
    service: Service, tenants: tuple[httpx.Client, httpx.Client], postgres_uri: str
) -> None:
    acme = tenants[0]
    made = add(acme, "Secret", postgres_uri)
    path = f"{SOURCES}/{made['id']}"
    wrong = acme.patch(path, json={"uri": postgres_uri.replace(PASSWORD, "wr0ng-pw")})
    tested = acme.post(f"{path}/test")
    assert (tested.json()["answers"], "password" in tested.json()["detail"]) == (False, True)
    acme.patch(path, json={"uri": postgres_uri})
    schema = acme.post(f"{path}/schema")
    told = "".join(each.text for each in (wrong, tested, schema, acme.get(path), acme.get(SOURCES)))
    files = [file for file in service.data_dir.rglob("*") if file.is_file()]
    stored = b"".join(file.read_bytes() for file in files if os.access(file, os.R_OK))
    for secret in (PASSWORD, "wr0ng-pw"):
        assert secret not in told
        assert secret.encode() not in stored
        assert secret not in service.logged()
    assert "Concepción".encode() not in stored  # nor are samples of what is in it
    assert acme.delete(path).status_code == 204


# In PostgreSQL a policy lets through what belongs to the asker's region, which is not known.
@pytest.mark.parametrize(("kind", "count"), [("sqlite", 2), ("postgresql", 0)])
def test_a_bot_with_the_tool_answers_from_its_tenants_data_source_alone(
    tenants: tuple[httpx.Client, httpx.Client], model_server: FakeModelServer, postgres_uri: str, kind: str, count: int
) -> None:
    acme = tenants[0]
    path = f"{SOURCES}/{add(acme, 'Staff', 'sqlite:///staff.db' if kind == 'sqlite' else postgres_uri)['id']}"
    acme.post(f"{path}/schema")
    assert acme.patch(path, json={"allowed_tables": {"employees": {"row_filter": "region = 'north'"}}}).is_success
    model_server.reset()
    call = {"tool": "query_data", "arguments": {"question": "How many employees are there?"}}
    model_server.configure(
        plans={"employees": [[call], "ANSWER"]},
        replies={
            "<table_schema>": "```sql\nSELECT COUNT(*) AS employees FROM employees;\n```",
            'tool="query_data"': f"The number of employees is {count} [1].",
        },
    )
    said = []
    for client in tenants:
        assert client.post("/v1/tenant/bots", json={"id": kind, "name": "D", "tools": ["query_data"]}).is_success
        said.append(ask(client, "How many employees are there?", uuid4().hex, bot_id=kind).json())
    assert [[each["status"] for each in one["tool_calls"]] for one in said] == [["done"], ["failed"]]
    assert said[0]["answer"] == f"The number of employees is {count} [1]."
    support = said[0]["support"]
    cell = {"row": 0, "column": "employees"}
    figure = {"text": str(count), "status": "cell", "how": "cell", "number": 1, "cells": [cell]}
    assert (support["sentences"][0]["status"], support["sentences"][0]["figures"]) == ("supported", [figure])
    sql = "SELECT COUNT(*) AS employees FROM employees"
    result = {"columns": ["employees"], "rows": [[count]], "row_count": 1, "truncated": False}
    assert support["queries"] == [{"number": 1, "data_source": "Staff", "sql": sql, **result}]
    model_server.configure(
        plans={"employees": [[call], "ANSWER"]},
        replies={"<table_schema>": sql, 'tool="query_data"': "There are 7 employees [1]."},
    )
    wrong = ask(acme, "How many employees work here?", uuid4().hex, bot_id=kind).json()["support"]["sentences"][0]
    assert (wrong["status"], wrong["method"], wrong["figures"][0]["status"]) == ("unsupported", "figures", "absent")
    assert str(count) not in said[1]["answer"]
    # Named by the request, it is asked, though the model would search the documents or ask another one.
    source_id = path.rpartition("/")[2]
    elsewhere = {**call, "arguments": {**call["arguments"], "data_source": "Elsewhere"}}
    for decided in ("DOCUMENTS", [elsewhere]):
        model_server.configure(
            plans={"employees": [decided, "ANSWER"]}, replies={"<table_schema>": sql, 'tool="query_data"': "See [1]."}
        )
        named = ask(acme, "How many employees are there?", uuid4().hex, bot_id=kind, data_source_id=source_id).json()
        rows = {"columns": ["employees"], "rows": [[count]], "truncated": False, "understood": None}
        assert named["data"] == {"data_source_id": source_id, "sql": sql, **rows}
    # A query that fails is repaired, and both tries are counted.
    model_server.configure(
        plans={"employees": ["DOCUMENTS", "ANSWER"]},
        replies={
            "no_such_column": sql,
            "<table_schema>": "SELECT no_such_column FROM employees",
            'tool="query_data"': "See [1].",
        },
    )
    again = ask(acme, "How many employees are there?", uuid4().hex, bot_id=kind, data_source_id=source_id).json()
    assert (again["data"]["rows"], again["metrics"]["sql_attempts"]) == ([[count]], 2)
    assert acme.delete(path).status_code == 204


def open_numbers(client: httpx.Client) -> str:
    """A data source with more than a thousand rows to ask for, and the bot `many` that asks it."""
    source_id: str = add(client, "Numbers", "sqlite:///staff.db")["id"]
    client.post(f"{SOURCES}/{source_id}/schema")
    assert client.patch(f"{SOURCES}/{source_id}", json={"allowed_tables": {"n": {}}}).is_success
    assert client.post("/v1/tenant/bots", json={"id": "many", "name": "M", "tools": ["query_data"]}).is_success
    return source_id


def ask_for_rows(
    client: httpx.Client, model_server: FakeModelServer, source_id: str, talk: str, times: int
) -> dict[str, Any]:
    """The answer with 300 rows so many times."""
    sql = f"SELECT a.x AS x, 'CANARY' AS y FROM n AS a, n AS b WHERE b.x <= {times} ORDER BY a.x, b.x"  # noqa: S608
    model_server.configure(
        plans={"numbers": ["DOCUMENTS", "ANSWER"]},
        replies={"<table_schema>": sql, 'tool="query_data"': "Here they are [1]."},
    )
    said: dict[str, Any] = ask(client, "Which numbers?", talk, bot_id="many", data_source_id=source_id).json()
    return said


def close_numbers(client: httpx.Client, source_id: str) -> None:
    assert client.delete(f"{SOURCES}/{source_id}").status_code == 204
    assert client.delete("/v1/tenant/bots/many").is_success


def test_rows_beyond_a_thousand_are_in_a_file_that_lives_with_the_session(
    service: Service, tenants: tuple[httpx.Client, httpx.Client], model_server: FakeModelServer
) -> None:
    acme, files, session = tenants[0], service.data_dir / "chat_docs", {"bot_id": "many"}
    source_id = open_numbers(acme)
    model_server.reset()
    ask_rows = partial(ask_for_rows, acme, model_server, source_id)

    def list_files() -> list[Path]:
        return list(files.rglob("*.csv"))

    said = ask_rows("many", 4)
    assert (len(said["data"]["rows"]), said["data"]["truncated"]) == (1_000, True)
    downloaded = acme.get("/v1/download/data/many", params=session)
    names, *rows = csv.reader(io.StringIO(downloaded.text))
    assert (names, rows[-1], len(rows)) == (["x", "y"], ["300", "CANARY"], 1_200)
    assert rows[:1_000] == [[str(cell) for cell in row] for row in said["data"]["rows"]]
    shown = acme.get("/v1/sessions/many/artifacts", params=session).json()["artifacts"]["data"]
    assert shown["size"] == len(downloaded.content)
    [file] = list_files()
    assert (b"CANARY" in file.read_bytes(), "many" in str(file), file.stat().st_mode & 0o077) == (False, False, 0)
    ask_rows("many", 5)
    [newer] = list_files()  # the newest alone
    assert newer != file
    os.utime(newer.parent, (0, 0))
    ask(acme, "Thank you!", "many", bot_id="many")
    assert newer.parent.stat().st_mtime > 0  # the session was used
    assert len(ask_rows("many", 1)["data"]["rows"]) == 300
    assert acme.get("/v1/download/data/many", params=session).text.count("\r\n") == 301
    ask_rows("many", 5)
    ask_rows("other", 5)
    [old] = [path for path in list_files() if path.parent != newer.parent]
    os.utime(old.parent, (0, 0))
    ResultFiles(files, None, DiskSpace(files, 0), max_bytes=1, keep_s=3_600).delete_unused()
    assert [path.parent for path in list_files()] == [newer.parent]
    gone = acme.get("/v1/download/data/other", params=session)
    assert (gone.status_code, "no longer exists" in gone.json()["detail"]) == (404, True)
    assert acme.delete("/v1/sessions/many", params=session).is_success
    assert list_files() == []
    close_numbers(acme, source_id)


def test_a_tenant_keeps_the_files_of_the_sessions_that_it_used_last_and_no_other_tenant_s(
    tenants: tuple[httpx.Client, httpx.Client], model_server: FakeModelServer
) -> None:
    sources = {client: open_numbers(client) for client in tenants}
    model_server.reset()
    acme, globex = tenants

    def read(client: httpx.Client, talk: str) -> tuple[int, int | None]:
        """The status of the file, and its size as it is listed."""
        status = client.get(f"/v1/download/data/{talk}", params={"bot_id": "many"}).status_code
        shown = client.get(f"/v1/sessions/{talk}/artifacts", params={"bot_id": "many"}).json()
        return status, shown["artifacts"]["data"]["size"]

    for client, talk in ((globex, "first"), (acme, "first"), (acme, "second")):
        ask_for_rows(client, model_server, sources[client], talk, 5)
    ask(acme, "Thank you!", "first", bot_id="many")  # the other one was not used for longer
    said = ask_for_rows(acme, model_server, sources[acme], "third", 5)
    assert (len(said["data"]["rows"]), read(acme, "second")) == (1_000, (404, None))
    gone = acme.get("/v1/download/data/second", params={"bot_id": "many"}).json()["detail"]
    assert "ask the question again" in gone
    for client, talk in ((acme, "first"), (acme, "third"), (globex, "first")):
        status, size = read(client, talk)
        assert (status, size is not None) == (200, True), talk
    for client, source_id in sources.items():
        close_numbers(client, source_id)
