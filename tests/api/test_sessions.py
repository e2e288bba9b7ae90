"""Questions to one data source, and what the guide for maintenance asks of sessions: tables, charts and scripts of
answers, each tenant's and visitor's own."""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

from tests.api.test_models import make_keys
from tests.conftest import PAGE_KEY
from tests.security.test_visitors import visitor
from tests.service import Service, ask, one_document

Json = dict[str, Any]
BY_STATUS = "How many machines for each status?"
ROWS = [["Active", 2], ["Maintenance", 1]]
MANY = 1_200


@dataclass(frozen=True)
class Plant:
    """Clients of tenants with a bot that asks data sources, and the ids of two of acme's and of one of the default
    tenant's, which alone has a document."""

    acme: httpx.Client
    globex: httpx.Client
    default: httpx.Client
    plant: str
    staff: str
    open: str


def make_database(file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("CREATE TABLE equipment (id INTEGER PRIMARY KEY, name TEXT, status TEXT, hours INTEGER)")
        machines = [("Pump A1", "Active", 50), ("=2+3", "Maintenance", 60), ("Valve C3", "Active", 70)]
        connection.executemany("INSERT INTO equipment (name, status, hours) VALUES (?, ?, ?)", machines)
        connection.execute("CREATE TABLE reading (id INTEGER PRIMARY KEY, label TEXT, degrees INTEGER)")
        many = [(f"R{number:04}", number) for number in range(1, MANY + 1)]
        connection.executemany("INSERT INTO reading (label, degrees) VALUES (?, ?)", many)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("sessions")
    for tenant in ("acme", "globex", "default"):
        make_database(folder / "databases" / tenant / "plant.db")
    variables = {
        "DATA_SOURCE_DIR": str(folder / "databases"),
        "STATE_ENCRYPTION_KEYS": make_keys(),
        "RATE_LIMIT_ENABLED": "false",
        "CHAT_PAGE_KEY": PAGE_KEY,
        **one_document(folder),
    }
    with Service(folder / "data", **variables).watched() as running:
        yield running


def add_source(client: httpx.Client, name: str, **more: Any) -> str:
    body = {"name": name, "type": "sqlite", "uri": "sqlite:///plant.db"}
    source_id: str = client.post("/v1/tenant/data-sources", json=body).json()["id"]
    path = f"/v1/tenant/data-sources/{source_id}"
    assert client.post(f"{path}/schema").is_success
    tables = {"equipment": {"synonyms": ["machine"]}, "reading": {}}
    assert client.patch(path, json={"allowed_tables": tables, **more}).is_success
    return source_id


@pytest.fixture(scope="module")
def plant(service: Service) -> Iterator[Plant]:
    with ExitStack() as stack:
        names = ("acme", "globex", "default")
        acme, globex, default = (stack.enter_context(service.client(service.new_key(name, ["all"]))) for name in names)
        for client in (acme, globex, default):
            bot = {"id": "plant", "name": "Plant", "tools": ["query_data", "draw_chart"]}
            assert client.post("/v1/tenant/bots", json=bot).is_success
        add_source(globex, "Plant")
        opened = add_source(default, "Open", open_to_visitors=True)
        yield Plant(acme, globex, default, add_source(acme, "Plant"), add_source(acme, "Staff"), opened)


def ask_plant(client: httpx.Client, message: str, session_id: str, **body: Any) -> Json:
    said = ask(client, message, session_id, bot_id="plant", **body)
    assert said.status_code == 200, said.text
    found: Json = said.json()
    return found


def test_a_data_source_that_is_named_answers_alone_and_gives_its_rows(service: Service, plant: Plant) -> None:
    acme, globex = plant.acme, plant.globex
    said = ask_plant(acme, BY_STATUS, "named", data_source_id=plant.plant)
    data = said["data"]
    assert (data["data_source_id"], data["rows"], data["truncated"]) == (plant.plant, ROWS, False)
    assert (data["columns"][0], data["sql"][:6]) == ("status", "SELECT")
    assert data["understood"] == "number of equipment for each status of equipment"
    assert acme.get(f"/v1/runs/{said['run_id']}").json()["result"]["data"] == data
    body = {"message": BY_STATUS, "session_id": None, "bot_id": "plant", "data_source_id": plant.plant}
    events = acme.post("/v1/chat/stream", json=body).text
    assert json.loads(events.rpartition("data: ")[2])["data"] == data
    assert globex.get(f"/v1/runs/{said['run_id']}").status_code == 404
    # Neither the documents nor another data source answer in its place.
    rent = "How much does a dormitory room cost?"
    refused = ask_plant(plant.default, rent, "documents", data_source_id=plant.open)
    assert (refused["answered"], refused["citations"], refused["data"]) == (False, [], None)
    service.wait_for(lambda: ask_plant(plant.default, rent, uuid4().hex)["answered"])
    for client, source_id, bot_id, status in (
        (globex, plant.plant, "plant", 404),
        (acme, "unknown", "plant", 404),
        (acme, plant.plant, "default", 409),
        (acme, "a/b", "plant", 400),
    ):
        assert ask(client, BY_STATUS, uuid4().hex, bot_id=bot_id, data_source_id=source_id).status_code == status
    once = {"Idempotency-Key": uuid4().hex}
    assert acme.post("/v1/chat", json=body, headers=once).is_success
    assert acme.post("/v1/chat", json={**body, "data_source_id": plant.staff}, headers=once).status_code == 422


def test_a_visitor_asks_what_is_open_to_visitors_and_is_refused_the_rest(service: Service, plant: Plant) -> None:
    asked = (plant.open, add_source(plant.default, "Closed"))
    body = {"message": BY_STATUS, "session_id": None, "bot_id": "plant"}
    with service.client(PAGE_KEY) as page:
        answers = [page.post("/v1/chat", json={**body, "data_source_id": each}, headers=visitor()) for each in asked]
    assert [answer.status_code for answer in answers] == [200, 403]
    assert answers[0].json()["data"]["rows"] == ROWS
    assert "data-sources:read" in answers[1].json()["detail"]
