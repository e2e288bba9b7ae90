"""Questions to one data source, and what the maintenance guide asks of sessions: tables, charts and scripts of
answers, each tenant's and visitor's own."""

import csv
import io
import json
import sqlite3
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

from datasources.result_csv import write_csv
from tests.api.test_models import make_keys
from tests.conftest import PAGE_KEY
from tests.scrapes import scraped_when
from tests.security.test_visitors import visitor
from tests.service import Service, ask, free_port, one_document

Json = dict[str, Any]
BY_STATUS = "How many machines for each status?"
ROWS = [["Active", 2], ["Maintenance", 1]]


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
        "PROMETHEUS_ENABLED": "true",
        "METRICS_PORT": str(free_port()),
        **one_document(folder),
    }
    with Service(folder / "data", **variables).watched() as running:
        yield running


def add_source(client: httpx.Client, name: str, **more: Any) -> str:
    body = {"name": name, "type": "sqlite", "uri": "sqlite:///plant.db"}
    source_id: str = client.post("/v1/tenant/data-sources", json=body).json()["id"]
    path = f"/v1/tenant/data-sources/{source_id}"
    assert client.post(f"{path}/schema").is_success
    tables = {"equipment": {"synonyms": ["machine"]}}
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
    assert data["understood"] == "number of equipment for each status"
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


def test_without_a_language_model_no_glossary_is_proposed(plant: Plant) -> None:
    refused = plant.acme.post(f"/v1/tenant/data-sources/{plant.plant}/glossary-proposals", json={})
    assert (refused.status_code, "LLM_BASE_URL" in refused.json()["detail"]) == (409, True)


def test_of_data_sources_that_explain_a_question_equally_the_person_chooses(plant: Plant) -> None:
    acme, globex = plant.acme, plant.globex
    asked = ask_plant(acme, BY_STATUS, "choose")
    assert (asked["answered"], asked["clarification"]["choices"], asked["data"]) == (False, ["Plant", "Staff"], None)
    assert "Several data sources" in asked["answer"]
    chosen = ask_plant(acme, "staff", "choose")
    assert (chosen["data"]["data_source_id"], chosen["data"]["rows"]) == (plant.staff, ROWS)
    assert ask_plant(globex, BY_STATUS, "choose")["data"]["rows"] == ROWS  # it has one alone
    assert ask_plant(globex, "Staff", "choose")["data"] is None


def test_a_question_about_figures_and_documents_is_answered_with_both(service: Service, plant: Plant) -> None:
    acme, globex = plant.acme, plant.globex
    dataset = globex.post("/v1/tenant/datasets", json={"name": "guides"}).json()["id"]
    guide = {"title": "Lubrication guide", "content": "Bearings are lubricated with grease G2 every 200 hours."}
    assert globex.post(f"/v1/tenant/datasets/{dataset}/documents", json=guide).status_code == 202
    lubricated = "how often are bearings lubricated?"
    service.wait_for(lambda: "G2" in ask_plant(globex, lubricated, uuid4().hex)["answer"])
    for question, count in (
        (f"How many machines are there, and {lubricated}", "There are 3 machines."),
        ("How often are bearings lubricated? How many machines for each status?", "Machines for each status: 3 in all"),
    ):
        said = ask_plant(globex, question, uuid4().hex)
        assert said["answer"].startswith(count), said["answer"]
        assert [each["name"] for each in said["tool_calls"]] == ["query_data", "search_documents"]
        assert {each["source"].partition(":")[0] for each in said["citations"]} > {"tool"}
        assert "every 200 hours" in said["answer"]
        assert (said["support"]["unsupported_count"], said["data"]["truncated"]) == (0, False)
    nowhere = ask_plant(globex, "How many machines are there? Who feeds the penguins on Mars?", uuid4().hex)
    assert nowhere["answer"].startswith("There are 3 machines.")
    assert ("not in the documents" in nowhere["answer"], nowhere["support"]["unsupported_count"]) == (True, 0)
    other = ask_plant(acme, f"How many machines are there, and {lubricated}", uuid4().hex, data_source_id=plant.plant)
    assert "G2" not in other["answer"]
    assert globex.delete(f"/v1/tenant/datasets/{dataset}").is_success


def test_a_follow_up_is_about_the_last_result_of_its_own_conversation(plant: Plant) -> None:
    acme, globex = plant.acme, plant.globex
    first = ask_plant(acme, BY_STATUS, "follow", data_source_id=plant.plant)
    said = ask_plant(acme, "Which of these has the most?", "follow")  # of one source, although there are several
    assert said["answer"].startswith("Largest number of equipment: "), said["answer"]
    assert "without a new query" in said["answer"]
    assert said["data"] == first["data"]
    [checked, *_] = said["support"]["sentences"]
    assert (checked["status"], checked["figures"][0]["status"]) == ("supported", "cell")
    [drawn] = ask_plant(acme, "as a bar chart", "follow", data_source_id=plant.plant)["tool_calls"]
    assert (drawn["name"], drawn["chart"]["spec"]["mark"]["type"]) == ("draw_chart", "bar")
    assert ask_plant(globex, "Which of these has the most?", "follow")["data"] is None
    ask_plant(acme, "What is the opening time of the library?", "follow")
    assert ask_plant(acme, "Which of these has the most?", "follow")["data"] is None


def test_a_source_of_figures_is_named_as_it_is_called_with_its_query_wherever_it_is_cited(plant: Plant) -> None:
    globex = plant.globex
    for question in (BY_STATUS, f"{BY_STATUS[:-1]} as a bar chart?"):
        said = ask_plant(globex, question, uuid4().hex)
        [cited] = said["citations"]
        sql = said["support"]["queries"][0]["sql"]
        assert (cited["title"], cited["query"], sql[:6]) == ("Plant", sql, "SELECT")
    completion = {"model": "plant", "messages": [{"role": "user", "content": BY_STATUS}]}
    answers = [
        globex.post("/v1/chat/completions", json=completion).json(),
        globex.post("/v1/responses", json={"model": "plant", "input": BY_STATUS}).json(),
    ]
    streams = [globex.post("/v1/chat/completions", json={**completion, "stream": True}).text]
    [annotated, *_], [part] = answers[0]["choices"][0]["message"]["annotations"], answers[1]["output"][0]["content"]
    for annotation, answer in ((annotated["url_citation"], answers[0]), (part["annotations"][0], answers[1])):
        assert annotation["title"] == answer["citations"][0]["title"] == "Plant"
        told = globex.get(annotation["url"]).json()["result"]
        assert told["support"]["queries"][0]["sql"] == answer["citations"][0]["query"] == sql
        assert plant.acme.get(annotation["url"]).status_code == 404
    assert '"title":"Plant","url":"http://127.0.0.1:' in streams[0].replace('": "', '":"').replace(', "', ',"')
    call = {"name": "ask", "arguments": {"question": BY_STATUS, "bot_id": "plant"}}
    asked = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": call}
    [cited, *_] = globex.post("/v1/mcp", json=asked).json()["result"]["structuredContent"]["citations"]
    assert (cited["title"], cited["query"]) == ("Plant", sql)
    assert globex.get(cited["url"]).json()["result"]["support"]["queries"][0]["sql"] == sql


def test_questions_to_begin_with_come_from_data_sources_that_answer_the_asker(service: Service, plant: Plant) -> None:
    topics = {"bot_id": "plant"}
    for language, draws in (("en", "as a bar chart?"), ("es", "en un gráfico de barras"), ("id", "grafik batang?")):
        found = plant.globex.get("/v1/topics", params={**topics, "language": language}).json()["data_questions"]
        assert [each["data_source"] for each in found] == ["Plant", "Plant"]
        assert found[1]["question"].endswith(draws)
        for each in found:
            said = ask_plant(plant.globex, each["question"], uuid4().hex)
            assert said["answered"], each
        assert "chart" in said["tool_calls"][0]
    # Of two sources that understand the same, none could answer.
    assert plant.acme.get("/v1/topics", params=topics).json()["data_questions"] == []
    assert plant.globex.get("/v1/topics").json()["data_questions"] == []  # its default bot has no such tool
    with service.client(PAGE_KEY) as page:
        assert page.get("/v1/topics", params=topics, headers=visitor()).json()["data_questions"]


def test_what_goes_on_about_figures_and_is_not_understood_is_refused_and_not_looked_up_in_documents(
    service: Service, plant: Plant
) -> None:
    globex = plant.globex
    dataset = globex.post("/v1/tenant/datasets", json={"name": "rules"}).json()["id"]
    rule = {"title": "Rules", "content": "Kites above 5 metres need a permit. Purple ones are for guests."}
    assert globex.post(f"/v1/tenant/datasets/{dataset}/documents", json=rule).status_code == 202
    asked = "Which kites need a permit?"
    service.wait_for(lambda: "5 metres" in ask_plant(globex, asked, uuid4().hex)["answer"])
    for number, (before, question, named, works) in enumerate(
        (
            ("Which machines are active?", "and the ones above 5 metres?", "'metres'", "How many equipment are there?"),
            ("Which machines are active?", "Which of them are purple ones?", "'purple'", "How many equipment"),
            ("¿Cuántas máquinas hay?", "¿y las de más de 5 metros?", "«metros»", "Número de equipment por status."),
            ("Ada berapa mesin?", "dan yang di atas 5 meter?", "“meter”", "untuk setiap status?"),
        )
    ):
        talk = f"refused-{number}"
        assert ask_plant(globex, before, talk)["data"], before
        said = ask_plant(globex, question, talk)
        assert (said["answered"], said["citations"], said["data"]) == (False, [], None), question
        assert named in said["answer"], said["answer"]
        assert works in said["answer"]
        assert "permit" not in said["answer"]
        again = ask_plant(globex, "Which of them are active?", talk)
        assert "status is Active" in again["data"]["understood"], again["answer"]
    assert "permit" in ask_plant(globex, "And when do kites need a permit?", "refused-0")["answer"]
    for drawn, told in (
        ("as a bar chart", "There is nothing to draw yet: ask for figures first. Questions that work: How many"),
        ("Muéstralo como gráfico de líneas", "Todavía no hay nada que dibujar: pida primero cifras. Preguntas que"),
        ("tampilkan sebagai grafik batang", "Belum ada yang dapat digambar: tanyakan angka terlebih dahulu."),
    ):
        said = ask_plant(globex, drawn, uuid4().hex)
        assert said["answer"].startswith(told), said["answer"]
        assert not said["answered"]
    assert globex.delete(f"/v1/tenant/datasets/{dataset}").is_success


def test_a_refusal_of_the_named_data_source_is_in_one_language(plant: Plant) -> None:
    for question, told in (
        (
            "¿Cuántas máquinas moradas hay?",
            "No se entiende la palabra «moradas». Preguntas que funcionan: ¿Cuál es",
        ),
        ("Ada berapa mesin ungu?", "Kata “ungu” tidak dipahami. Pertanyaan yang bisa dijawab: Ada berapa equipment?"),
        ("How many purple machines are there?", "The word 'purple' is not understood. Questions that work: How many"),
        ("como gráfico de barras", "Todavía no hay nada que dibujar"),
    ):
        said = ask_plant(plant.acme, question, uuid4().hex, data_source_id=plant.plant)
        assert said["answer"].startswith(told), said["answer"]


def test_a_follow_up_asks_anew_with_the_former_conditions_where_the_result_does_not_tell(plant: Plant) -> None:
    acme, globex = plant.acme, plant.globex
    assert ask_plant(acme, "Which machines are active?", "anew", data_source_id=plant.plant)["data"]["rows"]
    for question, rows in (
        ("Which of them have more than 60 hours?", [["Valve C3", 70]]),  # of active ones, hours were not shown
        ("and how many for each status?", [["Active", 1]]),
    ):
        said = ask_plant(acme, question, "anew")
        assert said["data"]["rows"] == rows, said["answer"]
        assert "status is Active" in said["data"]["understood"]
    assert ask_plant(globex, "Which of them have more than 60 hours?", "anew")["data"] is None


@pytest.mark.parametrize("is_named", [False, True])
def test_a_question_that_is_whole_is_asked_anew_and_one_that_points_back_never_of_all_rows(
    plant: Plant, is_named: bool
) -> None:
    client, named = (plant.acme, {"data_source_id": plant.plant}) if is_named else (plant.globex, {})
    for before, question, rows in (
        ("Top 2 machines by hours", "What is the average hours?", [[60]]),
        ("What is the status of Pump A1?", "How many status are there?", [[2]]),
        ("Which machines are active?", "What are their total hours?", [[120]]),
        ("Which machines are active?", "and the total hours?", [[120]]),
        ("What is the status of Pump A1?", "What is its total hours?", [[50]]),
        ("Which machines are active?", "¿Cuántas máquinas tiene?", [[2]]),
        ("What is the average hours of the machines?", "per status?", [["Active", 60], ["Maintenance", 60]]),
    ):
        talk = uuid4().hex
        assert ask_plant(client, before, talk, **named)["data"], before
        said = ask_plant(client, question, talk, **named)
        assert said["data"], said["answer"]
        assert sorted(said["data"]["rows"]) == rows, said["answer"]


def test_a_visitor_asks_what_is_open_to_visitors_and_is_refused_the_rest(service: Service, plant: Plant) -> None:
    asked = (plant.open, add_source(plant.default, "Closed"))
    body = {"message": BY_STATUS, "session_id": None, "bot_id": "plant"}
    with service.client(PAGE_KEY) as page:
        answers = [page.post("/v1/chat", json={**body, "data_source_id": each}, headers=visitor()) for each in asked]
        own, mine = visitor(), {**body, "session_id": "mine", "data_source_id": plant.open}
        assert page.post("/v1/chat", json=mine, headers=own).is_success
        for path in ("/v1/download/data/mine", "/v1/sessions/mine/artifacts"):
            answered = [page.get(path, params={"bot_id": "plant"}, headers=each) for each in (own, visitor())]
            assert [each.status_code for each in answered] == [200, 404], path
    assert [answer.status_code for answer in answers] == [200, 403]
    assert answers[0].json()["data"]["rows"] == ROWS
    assert "data-sources:read" in answers[1].json()["detail"]


def test_the_files_of_a_session_are_named_shown_downloaded_and_deleted(plant: Plant, tmp_path: Path) -> None:
    acme, session = plant.acme, {"bot_id": "plant"}
    assert acme.get("/v1/download/data/first", params=session).status_code == 404
    said = ask_plant(acme, BY_STATUS, "first", data_source_id=plant.plant)
    metrics = said["metrics"]
    assert {"total_time", "sql_time", "image_time", "api_processing_time"} <= set(metrics)
    assert (metrics["flow"], metrics["sql_attempts"], metrics["session_id"]) == ("good", 1, "first")
    assert metrics["api_processing_time"] >= metrics["total_time"] > metrics["sql_time"] > 0
    assert list(said["artifacts"]) == ["data_file"]
    drawn = ask_plant(acme, f"{BY_STATUS[:-1]} as a bar chart?", "first", data_source_id=plant.plant)
    folder = said["artifacts"]["data_file"].removesuffix("/data_0.csv")
    named = {"data": f"{folder}/data_1.csv", "image": f"{folder}/image_0.png", "code": f"{folder}/code_0.py"}
    assert drawn["artifacts"] == {f"{kind}_file": name for kind, name in named.items()}
    talk = ask_plant(acme, "How much does a dormitory room cost?", "first", data_source_id=plant.plant)
    assert talk["artifacts"] == drawn["artifacts"]  # those of an earlier turn
    assert (talk["metrics"]["flow"], talk["metrics"]["sql_attempts"]) == ("bad", 0)
    shown = acme.get("/v1/sessions/first/artifacts", params=session).json()
    assert (shown["session_id"], {kind: each["file"] for kind, each in shown["artifacts"].items()}) == ("first", named)
    files = {kind: acme.get(f"/v1/download/{kind}/first", params=session) for kind in named}
    assert [shown["artifacts"][kind]["size"] for kind in named] == [len(file.content) for file in files.values()]
    types = {kind: file.headers["Content-Type"].partition(";")[0] for kind, file in files.items()}
    assert types == {"data": "text/csv", "image": "image/png", "code": "text/x-python"}
    assert files["data"].headers["Content-Disposition"] == "attachment; filename=data_1.csv"
    rows = list(csv.reader(io.StringIO(files["data"].text)))
    assert rows == [drawn["data"]["columns"], *[[str(cell) for cell in row] for row in ROWS]]
    assert files["image"].content.startswith(b"\x89PNG")
    script = tmp_path / "code_0.py"
    script.write_bytes(files["code"].content)
    ran = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=30, check=True)
    assert (ran.stdout, "data_1.csv" in files["code"].text) == ("Drawn: image_0.png. Its rows: data_1.csv.\n", True)
    assert (tmp_path / "image_0.png").read_bytes().startswith(b"\x89PNG")
    assert acme.get("/v1/download/exe/first", params=session).status_code == 400
    for method, path in (
        ("GET", "/v1/download/data/first"),
        ("GET", "/v1/sessions/first/artifacts"),
        ("DELETE", "/v1/sessions/first"),
    ):
        for client, bot_id in ((plant.globex, "plant"), (acme, "default")):
            missing = client.request(method, path, params={"bot_id": bot_id})
            assert missing.status_code == 404, path
    assert "first" in list_sessions(acme)
    assert "first" not in list_sessions(plant.globex)
    gone = acme.delete("/v1/sessions/first", params=session)
    assert (gone.status_code, gone.json()) == (200, {"message": "Session first deleted."})
    assert acme.get("/v1/download/image/first", params=session).status_code == 404
    assert acme.get("/v1/conversations/first", params=session).status_code == 404
    assert "first" not in list_sessions(acme)
    for method, path in (("DELETE", "first"), ("GET", "first/artifacts")):
        again = acme.request(method, f"/v1/sessions/{path}", params=session)
        assert (again.status_code, again.json()["detail"]) == (404, "Session first not found.")


def list_sessions(client: httpx.Client) -> list[str]:
    found = client.get("/v1/sessions", params={"bot_id": "plant", "limit": 200}).json()
    assert found["active_sessions"] == len(found["sessions"])
    return [each["session_id"] for each in found["sessions"]]


def test_a_text_that_a_program_for_tables_would_compute_stays_a_text(plant: Plant) -> None:
    said = ask_plant(plant.acme, "Which machines have more than 55 hours?", "cells", data_source_id=plant.plant)
    assert [row[0] for row in said["data"]["rows"]] == ["=2+3", "Valve C3"]
    text = plant.acme.get("/v1/download/data/cells", params={"bot_id": "plant"}).text
    assert [row[0] for row in csv.reader(io.StringIO(text))][1:] == ["'=2+3", "Valve C3"]


def test_queries_pictures_and_sessions_are_counted(service: Service, plant: Plant) -> None:
    ask_plant(plant.acme, f"{BY_STATUS[:-1]} as a bar chart?", "counted", data_source_id=plant.plant)
    assert plant.acme.get("/v1/download/image/counted", params={"bot_id": "plant"}).status_code == 200
    port = int(service.variables["METRICS_PORT"])
    found = scraped_when(
        port,
        lambda seen: seen.value("pustaka_active_sessions") > 0 and seen.value("pustaka_charts_total", outcome="ok") > 0,
    )
    queries = {"store": "data_source", "operation": "query", "outcome": "ok"}
    assert found.value("pustaka_store_call_duration_seconds_count", **queries) > 0
    assert found.value("pustaka_chart_seconds_total") > 0


@pytest.mark.performance
def test_20_questions_at_once_are_answered_and_health_does_not_wait(service: Service, plant: Plant) -> None:
    """The guide's suite allows 30 s for five."""
    with ThreadPoolExecutor(21) as pool:
        began_s = time.monotonic()
        asked = [
            pool.submit(ask_plant, plant.acme, BY_STATUS, f"at-once-{number}", data_source_id=plant.plant)
            for number in range(20)
        ]
        health = pool.submit(lambda: (plant.acme.get("/health").status_code, time.monotonic() - began_s))
        assert [each.result()["data"]["rows"] for each in asked] == [ROWS] * 20
        assert time.monotonic() - began_s < 30
    assert (health.result()[0], health.result()[1] < 5) == (200, True)


def test_a_database_that_is_away_is_told_and_the_service_goes_on(service: Service, plant: Plant) -> None:
    file = Path(service.variables["DATA_SOURCE_DIR"]) / "globex" / "plant.db"
    source_id = plant.globex.get("/v1/tenant/data-sources").json()["data_sources"][0]["id"]
    file.rename(file.with_suffix(".away"))
    said = ask_plant(plant.globex, BY_STATUS, "away", data_source_id=source_id)
    assert (said["metrics"]["flow"], said["data"], "cannot be read" in said["answer"]) == ("bad", None, True)
    file.with_suffix(".away").rename(file)
    assert ask_plant(plant.globex, BY_STATUS, "away", data_source_id=source_id)["data"]["rows"] == ROWS


def test_what_the_guide_s_suite_asks_of_the_other_routes(plant: Plant) -> None:
    acme, anybody = plant.acme, httpx.get(f"{plant.acme.base_url}/", trust_env=False).json()
    assert (anybody["version"], anybody["docs"], anybody["health"]) == ("1.0.0", "/docs", "/health")
    assert anybody["message"]
    assert {"status", "timestamp", "version"} <= set(acme.get("/health").json())
    for message in ("", "x" * 5_001):  # 400 here, and 5,000 characters: docs/api-conventions.md
        assert acme.post("/v1/chat", json={"message": message, "session_id": None}).status_code == 400
    said = ask_plant(acme, BY_STATUS, "suite", data_source_id=plant.plant)
    assert (said["response"], said["session_id"], said["metrics"]["flow"]) == (said["answer"], "suite", "good")
    for method, path in (("GET", "/v1/sessions/nothing/artifacts"), ("DELETE", "/v1/sessions/nothing")):
        assert acme.request(method, path).status_code == 404


@pytest.mark.parametrize(
    ("cell", "written"),
    [
        ("=1+1", "'=1+1"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("-cmd", "'-cmd"),
        ("\t=1", "'\t'=1"),
        ("a;=cmd", "a;'=cmd"),
        ('a;"=cmd', "a;\"'=cmd"),
        ("a|@cmd", "a|'@cmd"),
        ("a\n+cmd", "a\n'+cmd"),
        ("a\t-cmd", "a\t'-cmd"),
        ("-1,5", "-1,5"),
        ("+62 (21) 555-0100", "+62 (21) 555-0100"),
        ("1;-2;+3", "1;-2;+3"),
        ("a;b=c, d@e.org", "a;b=c, d@e.org"),
        ("a, =b", "a, =b"),
    ],
)
def test_no_text_is_a_formula_by_whatever_mark_a_program_parts_cells(cell: str, written: str) -> None:
    [_, row] = csv.reader(io.StringIO(write_csv(["x", "y"], [["", cell]]).decode(), newline=""))
    assert row[1] == written


def test_ten_thousand_rows_as_csv_take_little_memory() -> None:
    rows = [(number, f"Pump {number}", "Active", number / 7) for number in range(10_000)]
    tracemalloc.start()
    written = write_csv(("id", "name", "status", "share"), rows)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (written.count(b"\r\n"), peak < 10_000_000) == (10_001, True)
