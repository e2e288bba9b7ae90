"""`python app.py`: what a newcomer starts, stops, kills and starts again."""

import json
import os
import signal
import socket
import subprocess
import time
from pathlib import Path
from uuid import uuid4

import httpx
import pytest
import redis

from tests.service import Service, ask, free_port, one_document

pytestmark = pytest.mark.long


def embedded_redis(service: Service) -> redis.Redis:
    """A client of the Valkey that the service has started, as its data folder publishes it."""
    published = json.loads((service.data_dir / "valkey.json").read_text())
    return redis.Redis(unix_socket_path=published["socket"], decode_responses=True)


def children_of(pid: int) -> set[int]:
    """The processes below *pid*, all generations."""
    listed = subprocess.run(["ps", "-eo", "pid=,ppid="], capture_output=True, text=True, check=True).stdout
    parents = {int(child): int(parent) for child, parent in (line.split() for line in listed.splitlines())}
    found = {pid}
    while more := {child for child, parent in parents.items() if parent in found} - found:
        found |= more
    return found - {pid}


def is_running(pid: int) -> bool:
    """Whether there is such a process that is not merely waiting to be collected."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def failing(service: Service) -> str:
    """Start a service that cannot start; what it told the person."""
    service.launch()
    assert service.process.wait(60) == 1
    assert "Traceback" not in service.logged()
    return service.logged()


def answer_of_the_curl_line(service: Service, key: str) -> str:
    """What the command under "Try it" brings, as a shell runs it where API_KEY is set."""
    command = service.printed().partition("Try it")[2].partition("\n")[2].partition("\n\n")[0]
    variables = {"PATH": os.environ["PATH"], "API_KEY": key}
    done = subprocess.run(["sh", "-c", command], env=variables, capture_output=True, text=True, check=True, timeout=60)
    return str(json.loads(done.stdout).get("answer"))


@pytest.mark.first
def test_a_conversation_outlives_a_kill(tmp_path: Path) -> None:
    with Service(tmp_path / "data").by_itself() as service:
        key, talk = service.key, uuid4().hex
        with service.client() as client:
            ask(client, "How much does a dormitory room cost?", talk)
        service.stop(signal.SIGKILL)
        service.start()
        assert "ak_live_" not in service.printed(), "the key is shown once"
        assert "dormitory" in answer_of_the_curl_line(service, key)
        with service.client(key) as client:
            again = ask(client, "And with a private bathroom?", talk).json()
            assert len(client.get(f"/v1/conversations/{talk}").json()["messages"]) == 4
        assert "1,350,000" in again["answer"]


def test_every_key_in_redis_has_an_end_and_the_readable_one_holds_no_words(tmp_path: Path) -> None:
    with (
        Service(tmp_path / "data", CONVERSATION_TTL="500", **one_document(tmp_path)) as service,
        embedded_redis(service) as store,
    ):
        with service.client() as client, service.client(service.new_key("acme", ["all"])) as other:
            answer = ask(client, "How much does a dormitory room cost?", "mine").json()["answer"]
            ask(other, "How do I apply?", "mine")
            ask(client, "How do I apply?", "theirs")
            assert client.delete("/v1/conversations/theirs").status_code == 204
        assert sorted(store.keys("checkpoint:*")) == ["checkpoint:acme.mine", "checkpoint:mine"]
        assert 490 <= store.ttl("checkpoint:mine") <= 500
        assert 490 <= store.ttl("state:{checkpoint:mine}") <= 500
        assert {key for key in store.keys("*") if store.ttl(key) < 0} == set()
        shown = json.loads(store.get("checkpoint:mine"))
        assert isinstance(shown, dict)
        assert "dormitory" not in store.get("checkpoint:mine")
        assert answer[:20] not in store.get("checkpoint:mine")


def test_reading_a_conversation_keeps_it_longer(tmp_path: Path) -> None:
    with (
        Service(tmp_path / "data", CONVERSATION_TTL="500", **one_document(tmp_path)) as service,
        embedded_redis(service) as store,
    ):
        with service.client() as client:
            ask(client, "How do I apply?", "mine")
            for key in ("checkpoint:mine", "state:{checkpoint:mine}"):
                store.expire(key, 60)
            client.get("/v1/conversations/mine")
        assert min(store.ttl(key) for key in ("checkpoint:mine", "state:{checkpoint:mine}")) > 400


@pytest.mark.parametrize("number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.soak)])
def test_a_stop_leaves_no_process_behind(tmp_path: Path, number: signal.Signals) -> None:
    page = {"STREAMLIT_ENABLED": "true", "STREAMLIT_PORT": str(free_port())}
    service = Service(tmp_path / "data", **page).by_itself().start()
    family = children_of(service.process.pid)
    assert len(family) >= 2, "Valkey and the chat page"
    assert service.stop(number) == 0
    assert [pid for pid in family if is_running(pid)] == []


@pytest.mark.soak
def test_a_kill_leaves_no_process_behind(tmp_path: Path) -> None:
    page = {"STREAMLIT_ENABLED": "true", "STREAMLIT_PORT": str(free_port())}
    service = Service(tmp_path / "data", **page).by_itself().start()
    family = children_of(service.process.pid)
    service.stop(signal.SIGKILL)
    deadline = time.monotonic() + 20
    while any(is_running(pid) for pid in family):
        assert time.monotonic() < deadline, [pid for pid in family if is_running(pid)]
        os.sched_yield()


@pytest.mark.parametrize("variable", ["PORT", "STREAMLIT_PORT"])
def test_a_port_in_use_is_said_to_be(tmp_path: Path, variable: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        ports = {"STREAMLIT_PORT": str(free_port()), variable: port}
        told = failing(Service(tmp_path / "data", STREAMLIT_ENABLED="true", **ports))
    assert variable in told
    assert port in told


@pytest.mark.smoke
def test_a_second_instance_on_the_same_data_is_refused(tmp_path: Path) -> None:
    with Service(tmp_path / "data", **one_document(tmp_path)) as first:
        second = Service(tmp_path / "data")
        second._log = tmp_path / "second.log"
        told = failing(second)
        assert str(first.process.pid) in told
        assert "DATA_DIR" in told
        with first.client() as client:
            assert ask(client, "How do I apply?").status_code == 200


def test_a_data_folder_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "data").touch()
    assert "DATA_DIR" in failing(Service(tmp_path / "data"))


@pytest.mark.parametrize(
    ("variables", "named"),
    [
        ({"CONVERSATION_TTL": "soon"}, "CONVERSATION_TTL"),
        ({"REDIS_URL": "http://x"}, "REDIS_URL"),
        ({"KNOWLEDGE_DIR": "/nowhere/at/all"}, "KNOWLEDGE_DIR"),
        ({"QDRANT_URL": "localhost:6333"}, "QDRANT_URL"),
        ({"DATABASE_URI": "nonsense"}, "DATABASE_URI"),
        ({"DATABASE_URI": "oracle://user:secret-word@host/x"}, "DATABASE_URI"),
    ],
)
def test_a_wrong_setting_stops_the_start_by_its_name(tmp_path: Path, variables: dict[str, str], named: str) -> None:
    told = failing(Service(tmp_path / "data", **variables))
    assert named in told
    assert "secret-word" not in told


def test_documents_loaded_while_it_runs_and_while_it_does_not_are_found(tmp_path: Path) -> None:
    folder = tmp_path / "ours"
    folder.mkdir()
    (folder / "bicycles.md").write_text("# Bicycles\n\nThe bicycle workshop opens on Tuesdays at 17:15.\n")
    with Service(tmp_path / "data", RATE_LIMIT_ENABLED="false", **one_document(tmp_path)) as service:
        key = service.key
        assert service.flask("load", str(folder)).returncode == 0
        with service.client() as client:
            service.wait_for(lambda: "17:15" in ask(client, "When does the bicycle workshop open?").text, limit_s=20)
        service.stop()
        (folder / "kites.md").write_text("# Kites\n\nThe kite club meets on Sundays at 09:40 on the beach.\n")
        loaded = service.flask("load", str(folder))
        assert "1 added" in loaded.stdout
        assert "1 unchanged" in loaded.stdout
        service.start()
        with service.client(key) as client:
            service.wait_for(lambda: "09:40" in ask(client, "When does the kite club meet?").text, limit_s=20)


def test_another_knowledge_folder_takes_the_place_of_the_samples(tmp_path: Path) -> None:
    folder = tmp_path / "ours"
    folder.mkdir()
    (folder / "bicycles.md").write_text("# Bicycles\n\nThe bicycle workshop opens on Tuesdays at 17:15.\n")
    with Service(tmp_path / "data", RATE_LIMIT_ENABLED="false") as service:
        key = service.key
        service.stop()
        service.variables["KNOWLEDGE_DIR"] = str(folder)
        service.start()
        with service.client(key) as client:
            service.wait_for(lambda: "17:15" in ask(client, "When does the bicycle workshop open?").text, limit_s=20)
            assert not ask(client, "How much does a dormitory room cost?", "b").json()["citations"]


@pytest.mark.soak
def test_samples_go_when_somebody_uploads_a_document_and_do_not_come_back(tmp_path: Path) -> None:
    price = "How much does a dormitory room cost?"
    service = Service(tmp_path / "data", RATE_LIMIT_ENABLED="false")
    del service.variables["KNOWLEDGE_DIR"]
    with service, service.client() as client:
        service.wait_for(lambda: ask(client, price).json()["citations"], limit_s=20)
        due = ask(client, "How many machines are due for maintenance this month?", "due").json()
        assert due["answer"].startswith("15 machines are due for maintenance this month. [1]"), due["answer"]
        assert due["tool_calls"][0]["name"] == "query_data"
        assert "SELECT" not in due["answer"]
        assert due["support"]["queries"][0]["sql"].startswith("SELECT")
        assert due["support"]["sentences"][0]["status"] == "supported"
        near = ask(client, "How many machines are not active?", "near").json()
        assert (near["answered"], near["confidence"]) == (True, "low"), near
        assert "Data source Maintenance: Rules cannot do what 'not' asks for. Questions that work:" in near["answer"]
        for question in ("How many machines for each status as a bar chart?", "en un gráfico de líneas"):
            drawn = ask(client, question, "chart").json()
            [call] = drawn["tool_calls"]
            assert (call["name"], call["chart"]["spec"]["data"]["values"][0]["x"]) == ("draw_chart", "Active"), drawn
            assert call["chart"]["spec"]["mark"]["type"] == ("bar" if "bar" in question else "line")
            address = f"/v1/runs/{drawn['run_id']}/charts/1"
        assert client.get(address).content.startswith(b"\x89PNG")
        assert client.get(address.replace("charts/1", "charts/2")).status_code == 404
        with service.client(service.new_key("globex")) as globex:
            assert globex.get(address).status_code == 404
        acme = service.new_key("acme")
        assert client.get("/v1/tenant/usage").json()["are_samples_replaced"] is True
        with service.client(acme) as other:
            assert other.get("/v1/tenant/usage").json()["are_samples_replaced"] is False
            dataset = other.post("/v1/tenant/datasets", json={"name": "clubs"}).json()["id"]
            text = {"title": "Kites", "content": "The kite club meets on Sundays at 09:40 on the beach."}
            assert other.post(f"/v1/tenant/datasets/{dataset}/documents", json=text).status_code == 202
            service.wait_for(lambda: "Removed the 17 sample documents" in service.logged(), limit_s=20)
            service.wait_for(lambda: "09:40" in ask(other, "When does the kite club meet?").text, limit_s=20)
        service.wait_for(lambda: not ask(client, price, "b").json()["citations"], limit_s=20)
        assert client.get("/v1/tenant/documents").json()["documents"] == []
        service.wait_for(lambda: not client.get("/v1/tenant/data-sources").json()["data_sources"], limit_s=20)
        service.stop()
        service.start()
        assert "no folder is loaded" in service.printed()
        assert not ask(client, price, "c").json()["citations"]
    message = "there are documents of your own now. KNOWLEDGE_DIR=samples keeps them."
    assert service.logged().count(message) == 1


@pytest.mark.soak
def test_samples_are_not_loaded_into_stores_of_ones_own_unless_named(tmp_path: Path) -> None:
    price, variables = "How much does a dormitory room cost?", {"RATE_LIMIT_ENABLED": "false"}
    with Service(tmp_path / "data", **variables) as service, service.client() as client:
        assert ask(client, price).json()["citations"]
        service.stop()
        service.variables["DATABASE_URI"] = f"sqlite:///{service.data_dir / 'pustaka.db'}"
        del service.variables["KNOWLEDGE_DIR"]
        service.start()
        assert "this installation has stores of its own. KNOWLEDGE_DIR=samples keeps them." in service.logged()
        service.wait_for(lambda: not ask(client, price, "b").json()["citations"], limit_s=20)
        service.stop()
        service.variables["KNOWLEDGE_DIR"] = "samples"
        service.start()
        service.wait_for(lambda: ask(client, price, "c").json()["citations"], limit_s=20)


@pytest.mark.soak
def test_answers_go_on_while_redis_is_away_and_it_comes_back_by_itself(tmp_path: Path) -> None:
    with Service(tmp_path / "data", **one_document(tmp_path)) as service, service.client() as client:
        ask(client, "How do I apply?", "before")
        stopped = json.loads((service.data_dir / "valkey.json").read_text())["pid"]
        os.kill(stopped, signal.SIGSTOP)
        try:
            away = ask(client, "How much does a dormitory room cost?", "during").json()
            assert away["answered"]
            assert away["persistence"] == "memory"
            service.wait_for(lambda: client.get("/health").json()["status"] == "degraded", limit_s=20)
            assert client.get("/v1/conversations/before").status_code == 503
        finally:
            os.kill(stopped, signal.SIGCONT)
        service.wait_for(lambda: client.get("/health").json()["status"] == "healthy", limit_s=30)
        assert ask(client, "And with a private bathroom?", "during").json()["persistence"] == "redis"
        assert len(client.get("/v1/conversations/during").json()["messages"]) == 4
        assert len(client.get("/v1/conversations/before").json()["messages"]) == 2


def test_a_stop_while_documents_are_loaded_does_not_wait_for_all_of_them(tmp_path: Path) -> None:
    folder = tmp_path / "many"
    folder.mkdir()
    for number in range(4000):
        (folder / f"{number}.md").write_text(f"# Number {number}\n\n" + f"Room {number} opens at noon. " * 40)
    service = Service(tmp_path / "data", KNOWLEDGE_DIR=str(folder))
    service.launch()
    with service.client("") as client:
        service.wait_for(lambda: _is_ready(client))
        assert service.stop() == 0
    assert "Ctrl-C stops everything" not in service.printed(), "it was not loaded yet"
    assert 0 < service.flask("documents").stdout.count(".md") < 4000


def _is_ready(client: httpx.Client) -> bool:
    try:
        return client.get("/ready").status_code == 200
    except httpx.TransportError:
        return False


@pytest.mark.parametrize("depth", [1, 12], ids=["short path", "path too long for a socket"])
def test_a_valkey_that_dies_is_started_again_with_what_it_held(tmp_path: Path, depth: int) -> None:
    data_dir = tmp_path.joinpath(*["deeper-down"] * depth)
    data_dir.parent.mkdir(parents=True, exist_ok=True)
    variables = {"RATE_LIMIT_ENABLED": "false", **one_document(tmp_path)}
    with Service(data_dir, **variables) as service, service.client() as client:
        ask(client, "How do I apply?", "before")
        dead = json.loads((service.data_dir / "valkey.json").read_text())["pid"]
        os.kill(dead, signal.SIGKILL)

        def is_back() -> bool:
            published = service.data_dir / "valkey.json"
            return published.exists() and json.loads(published.read_text())["pid"] != dead

        service.wait_for(is_back, limit_s=20)
        service.wait_for(lambda: client.get("/v1/conversations/before").status_code == 200, limit_s=30)
        assert ask(client, "What does it cost?", "before").json()["persistence"] == "redis"
        assert len(client.get("/v1/conversations/before").json()["messages"]) == 4
