"""What is sent to LangSmith and Sentry, what never is, and that neither can slow or break an answer."""

import json
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from config import VERSION
from tests.conftest import FAKE_MODEL
from tests.fakes.listener import Listener, Received
from tests.fakes.model_server import FakeModelServer
from tests.service import ROOT, Service, ask, one_document, plain_environment

pytestmark = pytest.mark.long

QUESTION = "How much does a dormitory room cost?"
TRACE_KEY = "lsv2_pt_never-to-be-shown"
SENTRY_KEY = "0123456789abcdef0123456789abcdef"


def tracing(listener: Listener, **variables: str) -> dict[str, str]:
    """The variables that send turns to *listener*."""
    return {
        "LANGCHAIN_TRACING_V2": "true",
        "LANGCHAIN_API_KEY": TRACE_KEY,
        "LANGCHAIN_PROJECT": "pustaka-tests",
        "LANGCHAIN_ENDPOINT": f"http://{listener.address}",
        "RATE_LIMIT_ENABLED": "false",
        **variables,
    }


def configured(service: Service, dot_env: dict[str, str]) -> Service:
    """*service* with variables in a `.env` file, where langsmith itself would never look."""
    (service.data_dir.parent / f"{service.data_dir.name}.cwd" / ".env").write_text(
        "".join(f"{name}={value}\n" for name, value in dot_env.items())
    )
    return service


def runs(listener: Listener) -> dict[str, dict[str, Any]]:
    """What LangSmith knows of each run by its id, put together from all that was sent."""
    known: dict[str, dict[str, Any]] = {}
    for request in sent_runs(listener):
        for name, body in request.parts().items():
            _, run_id, *field = name.split(".")
            told = json.loads(body)
            known.setdefault(run_id, {}).update({field[0]: told} if field else told)
    return known


def sent_runs(listener: Listener) -> list[Received]:
    """The requests that bring runs."""
    return [request for request in list(listener.received) if request.path == "/runs/multipart"]


def finished(listener: Listener) -> list[dict[str, Any]]:
    """The turns that LangSmith has from beginning to end."""
    roots = [run for run in runs(listener).values() if run.get("parent_run_id") is None]
    return [run for run in roots if run.get("end_time") and "outputs" in run]


def test_a_turn_is_traced_with_its_question_and_answer_and_without_a_key(
    tmp_path: Path, model_server: FakeModelServer
) -> None:
    model = {**FAKE_MODEL, "LLM_API_KEY": "sk-never-to-be-shown", "LLM_BASE_URL": model_server.base_url}
    with (
        Listener() as langsmith,
        configured(Service(tmp_path / "data"), tracing(langsmith, **model, **one_document(tmp_path))) as service,
    ):
        with service.client() as client, service.client(other_key := service.new_key("acme")) as other:
            answer = ask(client, QUESTION, "mine").json()["answer"]
            ask(other, "What is ours?", "theirs")
        langsmith.wait_for(lambda: len(finished(langsmith)) == 2)
        mine, theirs = sorted(finished(langsmith), key=lambda run: run["start_time"])
        assert QUESTION in json.dumps(mine["inputs"])
        assert answer[:40] in json.dumps(mine["outputs"])
        assert QUESTION not in json.dumps(theirs)
        assert {run["session_name"] for run in (mine, theirs)} == {"pustaka-tests"}
        assert {run["run_type"] for run in runs(langsmith).values()} >= {"chain", "llm"}
        assert {request.headers["x-api-key"] for request in sent_runs(langsmith)} == {TRACE_KEY}
        for secret in (TRACE_KEY, service.key, other_key, "sk-never-to-be-shown"):
            assert secret.encode() not in langsmith.everything()
        assert "questions and answers included" in service.logged()


@pytest.fixture
def without_sentry(tmp_path: Path) -> dict[str, str]:
    """Variables of an environment in which Sentry's package is not installed."""
    (tmp_path / "sentry_sdk.py").write_text("raise ModuleNotFoundError('sentry_sdk')\n")
    return {"PYTHONPATH": str(tmp_path)}


def test_nothing_is_sent_and_nothing_more_is_needed_while_it_is_off(
    tmp_path: Path, without_sentry: dict[str, str]
) -> None:
    # langsmith would look at its own name first; what the service was told counts.
    off = {"LANGCHAIN_TRACING_V2": "false", "LANGSMITH_TRACING_V2": "true", **without_sentry}
    with Listener() as langsmith:
        with (
            Service(tmp_path / "data", **tracing(langsmith, **off, **one_document(tmp_path))) as service,
            service.client() as client,
        ):
            assert ask(client, QUESTION).status_code == 200
        assert langsmith.received == []
        assert "LangSmith" not in service.logged()


def test_tracing_without_a_key_stops_the_start(tmp_path: Path) -> None:
    told = failing(Service(tmp_path / "data", LANGSMITH_TRACING="true"))
    assert "LANGCHAIN_API_KEY" in told


def failing(service: Service) -> str:
    """Start a service that cannot start; what it told the person."""
    service.launch()
    assert service.process.wait(60) == 1
    assert "Traceback" not in service.logged()
    return service.logged()


def test_a_langsmith_that_refuses_breaks_no_answer_and_no_secret_is_logged(tmp_path: Path) -> None:
    with (
        Listener(answers=401) as langsmith,
        Service(tmp_path / "data", **tracing(langsmith), **one_document(tmp_path)) as service,
        service.client() as client,
    ):
        for langsmith.answers in (401, 500):
            before = len(sent_runs(langsmith))
            assert ask(client, QUESTION, f"talk-{langsmith.answers}").json()["answered"] is True
            langsmith.wait_for(lambda before=before: len(sent_runs(langsmith)) > before)
        service.stop()
    assert TRACE_KEY not in service.logged()
    assert QUESTION not in service.logged()
    assert all(json.loads(line) for line in service.logged().splitlines())


def reporting(listener: Listener, **variables: str) -> dict[str, str]:
    """The variables that report errors to *listener*."""
    dsn = f"http://{SENTRY_KEY}@{listener.address}/7"
    return {"SENTRY_DSN": dsn, "FLASK_ENV": "testing", **variables}


def events(listener: Listener) -> list[dict[str, Any]]:
    """The events that were reported."""
    return [event for request in list(listener.received) for event in request.events()]


@contextmanager
def broken_row(service: Service, words: str) -> Iterator[httpx.Client]:
    """A client of tenant acme whose key cannot be read: another program has written *words* where a time belongs."""
    key = service.new_key("acme")
    with closing(sqlite3.connect(service.data_dir / "pustaka.db")) as database, database:
        done = database.execute("UPDATE api_keys SET created_at = ? WHERE tenant_id = 'acme'", (words,))
        assert done.rowcount == 1
    with service.client(key) as client:
        yield client


def test_what_nobody_expected_is_reported_once_without_what_people_wrote_and_what_is_expected_is_not(
    tmp_path: Path,
) -> None:
    nobody = {**FAKE_MODEL, "LLM_BASE_URL": "http://127.0.0.1:9/v1", "LLM_MAX_RETRIES": "0"}
    words = "written by Ramon himself"
    with (
        Listener(answers=200) as sentry,
        Service(tmp_path / "data", **reporting(sentry, **nobody, **one_document(tmp_path))) as service,
    ):
        with service.client() as client, service.client("wrong") as stranger:
            refused = [ask(stranger, QUESTION), ask(client, ""), ask(client, QUESTION), client.get("/nowhere")]
            assert [reply.status_code for reply in refused] == [401, 400, 200, 404]
        with broken_row(service, words) as client:
            reply, key = ask(client, QUESTION), client.headers["X-API-Key"]
        assert reply.status_code == 500
        assert words in service.logged(), "the log of the house has it all"
        sentry.wait_for(lambda: events(sentry))
        service.stop()
        [event] = events(sentry)
        assert sentry.received[0].path == "/api/7/envelope/"
        assert event["tags"] == {"request_id": reply.json()["request_id"]}
        assert (event["release"], event["environment"]) == (f"pustaka@{VERSION}", "testing")
        [error] = event["exception"]["values"]
        assert error["type"] == "ValueError"
        places = [(frame["module"], frame["function"]) for frame in error["stacktrace"]["frames"]]
        assert ("api.auth", "_look_up") in places
        for secret in ("Ramon", "dormitory", key, service.key, "X-API-Key", "vars"):
            assert secret.encode() not in sentry.everything(), secret


def test_two_that_do_not_answer_hold_up_neither_answers_nor_the_end(tmp_path: Path) -> None:
    with Listener() as langsmith, Listener() as sentry:
        langsmith.hold()
        sentry.hold()
        with Service(tmp_path / "data", **tracing(langsmith), **one_document(tmp_path), **reporting(sentry)) as service:
            with service.client() as client:
                assert [ask(client, QUESTION, f"talk-{number}").status_code for number in range(5)] == [200] * 5
            with broken_row(service, "no time") as client:
                assert [ask(client, QUESTION).status_code for _ in range(5)] == [500] * 5
            langsmith.wait_for(lambda: sent_runs(langsmith))
            sentry.wait_for(lambda: sentry.received)
            began_s = time.monotonic()
            assert service.stop() == 0
            assert time.monotonic() - began_s < 10
    assert all(json.loads(line) for line in service.logged().splitlines())


def test_a_wrong_dsn_stops_the_start_without_being_shown(tmp_path: Path) -> None:
    for dsn in ("nonsense-5ecret", "https://sentry.example/5ecret", "https://5ecret@sentry.example"):
        done = subprocess.run(
            [sys.executable, "-c", _START],
            cwd=tmp_path,
            env=plain_environment({"SENTRY_DSN": dsn, "PYTHONPATH": str(ROOT)}),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.stdout.startswith("SENTRY_DSN is no DSN"), done.stderr
        assert "5ecret" not in done.stdout + done.stderr


_START = """
from bootstrap.observability import start_observability
from config import load_settings
from utils.processes import StartError

try:
    start_observability(load_settings())
except StartError as exc:
    print(exc)
"""


def test_a_dsn_without_the_package_stops_the_start_and_says_what_to_install(
    tmp_path: Path, without_sentry: dict[str, str]
) -> None:
    told = failing(Service(tmp_path / "data", SENTRY_DSN=f"http://{SENTRY_KEY}@127.0.0.1:9/1", **without_sentry))
    assert "pip install sentry-sdk==" in told
    assert SENTRY_KEY not in told
