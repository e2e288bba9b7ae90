"""Files as data sources: two tenants ask what each of them has uploaded, replace it, and delete it for good."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

from tests.service import Service, ask

SOURCES = "/v1/tenant/data-sources"
SALES = "Shop;Amount;Sold on\nNorth;1.234,50;31/01/2024\nSouth;7,25;01/02/2024\nNorth;10;15/02/2024\n"


@pytest.fixture(scope="module")
def tenants(service: Service) -> Iterator[list[httpx.Client]]:
    """Clients of two tenants, each with a bot that asks data sources."""
    with ExitStack() as stack:
        clients = [stack.enter_context(service.client(service.new_key(f"uploads-{at}", ["all"]))) for at in "ab"]
        for client in clients:
            assert client.post("/v1/tenant/bots", json={"id": "d", "name": "D", "tools": ["query_data"]}).is_success
        yield clients


def send(client: httpx.Client, path: str, *files: tuple[str, str | bytes], **texts: str) -> httpx.Response:
    return client.post(f"{SOURCES}{path}", data=texts, files=[("files", file) for file in files])


def list_files(service: Service, tenant: str) -> list[Path]:
    return [path for path in (service.data_dir / "uploaded-tables" / tenant).glob("*") if path.is_file()]


def say(client: httpx.Client, question: str) -> str:
    said: dict[str, Any] = ask(client, question, uuid4().hex, bot_id="d").json()
    return str(said["answer"])


def test_a_file_is_asked_replaced_and_deleted_by_its_tenant_alone(
    service: Service, tenants: list[httpx.Client]
) -> None:
    acme, globex = tenants
    made = send(acme, "/upload", ("sales.csv", SALES), name="Sales", description="What was sold")
    assert made.status_code == 201, made.text
    source = made.json()
    path = f"/{source['id']}"
    assert made.headers["Location"] == f"{SOURCES}{path}"
    assert (source["type"], source["location"], source["open_to_visitors"]) == ("upload", "sales.csv", False)
    [table] = source["tables"]
    assert (table["name"], table["file"], table["row_count"]) == ("sales", "sales.csv", 3)
    fields = [(each["name"], each["header"], each["type"]) for each in table["fields"]]
    assert fields == [("shop", "Shop", "TEXT"), ("amount", "Amount", "REAL"), ("sold_on", "Sold on", "DATE")]
    assert set(source["allowed_tables"]["sales"]["allowed_columns"]) == {"shop", "amount", "sold_on"}
    [kept] = list_files(service, "uploads-a")
    assert kept.stat().st_mode & 0o077 == 0
    assert "1251.75" in say(acme, "What is the total amount of sales?").replace(",", "")
    for method, address in (("GET", path), ("POST", f"{path}/upload"), ("DELETE", path), ("GET", f"{path}/schema")):
        files = {"files": ("x.csv", SALES)} if method == "POST" else None
        assert globex.request(method, SOURCES + address, files=files).status_code == 404, address
    other = send(globex, "/upload", ("sales.csv", "shop,amount\nWest,5\n"), name="Sales")
    assert other.status_code == 201, other.text
    assert "5" in (said := say(globex, "What is the total amount of sales?"))
    assert "1251" not in said.replace(",", "")

    replaced = send(acme, f"{path}/upload", ("sales_march.csv", "Shop;Amount;Pay\nEast;2,5;9\n"))
    assert replaced.status_code == 200, replaced.text
    assert replaced.json()["version"] == source["version"] + 1
    assert "pay" not in replaced.json()["allowed_tables"]["sales"]["allowed_columns"]  # it is new, and not opened
    gone = {"sales": {"description": "What was sold"}}  # of columns, one is gone: sold_on
    said_anew = acme.patch(SOURCES + path, json={"allowed_tables": gone}).json()["allowed_tables"]["sales"]
    assert set(said_anew["allowed_columns"]) == {"shop", "amount", "sold_on"}
    assert "2.5" in say(acme, "What is the total amount of sales?")
    assert [kept] != (now := list_files(service, "uploads-a"))
    assert len(now) == 1
    refused = send(acme, f"{path}/upload", ("x.csv", b""))
    assert (refused.status_code, "x.csv: It is empty" in refused.json()["detail"]) == (422, True)
    assert list_files(service, "uploads-a") == now
    moved = acme.patch(SOURCES + path, json={"uri": "sqlite:///other.db"})
    assert (moved.status_code, "/upload" in moved.json()["detail"]) == (409, True)
    assert acme.delete(SOURCES + path).status_code == 204
    assert list_files(service, "uploads-a") == []
    assert len(list_files(service, "uploads-b")) == 1
    assert globex.delete(f"{SOURCES}/{other.json()['id']}").status_code == 204


def test_each_row_of_a_file_counts_and_is_known_by_its_title(tenants: list[httpx.Client]) -> None:
    acme, _ = tenants
    rows = "Ficciones,200\nRayuela,600\nFicciones,210\n"  # two have the same title
    files = ("books.csv", f"Title,Pages\n{rows}"), ("libros.csv", f"Título,Páginas\n{rows}")
    made = send(acme, "/upload", *files, name="Library")
    assert made.status_code == 201, made.text
    assert "There are 3 books" in say(acme, "How many books are there?")
    assert say(acme, "Which books have more than 100 pages?").count("Ficciones") == 2
    assert "Rayuela (600)" in say(acme, "¿Qué libro tiene más páginas?")
    assert acme.delete(f"{SOURCES}/{made.json()['id']}").status_code == 204


NAMES = [("books", "Title,Pages"), ("libros", "Título,Páginas"), ("buku", "Judul,Halaman")]
NEAR = [
    (
        "How many green books are there?",
        "Data source Library: The word 'green' is not understood. Questions that work:",
    ),
    ("¿Cuántos libros verdes hay?", "Fuente de datos Library: No se entiende la palabra «verdes». Preguntas que"),
    ("Ada berapa buku hijau?", "Sumber data Library: Kata “hijau” tidak dipahami. Pertanyaan yang bisa dijawab:"),
]


@pytest.mark.parametrize(("question", "told"), NEAR)
def test_a_refusal_names_the_word_that_a_data_source_does_not_know_and_questions_that_work(
    tenants: list[httpx.Client], question: str, told: str
) -> None:
    acme, globex = tenants
    rows = "Ficciones,200\nRayuela,600\n"
    files = [(f"{name}.csv", f"{columns}\n{rows}") for name, columns in NAMES]
    made = send(acme, "/upload", *files, name="Library")
    assert made.status_code == 201, made.text
    try:
        said = ask(acme, question, uuid4().hex, bot_id="d").json()
        assert (said["answered"], told in said["answer"]) == (False, True), said["answer"]
        assert "Library" not in say(globex, question)
        # Nothing is said of questions that are not about its figures.
        for other in ("How many green elephants are there?", "Who paints green books by hand?"):
            assert "Library" not in say(acme, other)
    finally:
        assert acme.delete(f"{SOURCES}/{made.json()['id']}").status_code == 204


def test_an_upload_that_cannot_be_taken_leaves_nothing(service: Service, tenants: list[httpx.Client]) -> None:
    acme = tenants[0]
    assert send(acme, "/upload", ("a.csv", "a,b\n1,2\n"), name="Taken").is_success
    kept = list_files(service, "uploads-a")
    good, bad = ("a.csv", "a,b\n1,2\n"), ("b.csv", b"\x00\x01\x02" * 100)
    for files, texts, status, told in (
        ([good], {"name": "Taken"}, 409, "Taken"),
        ([good, bad], {"name": "Bad"}, 422, "b.csv"),
        ([], {"name": "None"}, 400, ""),
        ([good], {"name": " "}, 400, "name"),
        ([good], {}, 400, "name"),
        ([good], {"name": "x" * 201}, 400, "name"),
        ([good], {"name": "Long", "description": "x" * 9_000}, 400, "description"),
        ([good] * 21, {"name": "Many"}, 413, "20 files"),
        ([("w.csv", ",".join("x" * 201) + "\n" + ",".join("1" * 201))], {"name": "Wide"}, 413, "200 columns"),
    ):
        sent = send(acme, "/upload", *files, **texts) if files else acme.post(f"{SOURCES}/upload", data=texts)
        assert sent.status_code == status or (not files and sent.status_code in (415, 422)), sent.text
        assert told in sent.text
    assert acme.post(f"{SOURCES}/upload", json={"name": "J"}).status_code == 415
    assert list_files(service, "uploads-a") == kept
    typed = acme.post(SOURCES, json={"name": "T", "type": "upload", "uri": "upload:///x.db"})
    assert typed.status_code == 400
    database = acme.post(SOURCES, json={"name": "D", "type": "sqlite", "uri": "sqlite:///staff.db"}).json()
    assert send(acme, f"/{database['id']}/upload", good).status_code == 409
    key = {"Idempotency-Key": uuid4().hex}
    twice = [
        acme.post(f"{SOURCES}/upload", data={"name": "Once"}, files={"files": good}, headers=key) for _ in range(2)
    ]
    assert twice[0].json()["id"] == twice[1].json()["id"]
    for each in acme.get(SOURCES).json()["data_sources"]:
        assert acme.delete(f"{SOURCES}/{each['id']}").status_code == 204
    assert list_files(service, "uploads-a") == []
