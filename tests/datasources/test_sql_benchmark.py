"""The benchmark of queries that a model writes, on a model that says what the test wants: each outcome is counted."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from benchmarks.sql import measure_model, open_database
from providers.chat.openai import open_chat_model
from providers.retries import CallLimits
from tests.fakes.model_server import FakeModelServer


async def test_right_wrong_refused_and_repaired_queries_are_counted_apart(
    tmp_path: Path, model_server: FakeModelServer
) -> None:
    with closing(sqlite3.connect(tmp_path / "plants.sqlite")) as connection:
        connection.execute("CREATE TABLE machine (id INTEGER PRIMARY KEY, status TEXT)")
        connection.execute("INSERT INTO machine (status) VALUES ('Active'), ('Active'), ('Stopped')")
        for number in range(9):
            connection.execute(f"CREATE TABLE other_{number} (id INTEGER)")
        connection.commit()
    model_server.reset()
    model_server.configure(
        replies={
            "no column 'state'": "SELECT COUNT(*) FROM machine WHERE status = 'Stopped'",
            "machines are there": "SELECT COUNT(*) FROM machine",
            "machines are active": "SELECT COUNT(*) FROM machine",
            "machines are stopped": "SELECT COUNT(*) FROM machine WHERE state = 'Stopped'",
            "machines fly": "NO_QUERY: No table tells.",
            "machines are secret": "DROP TABLE machine",
        },
        faults=[],
    )
    questions: list[dict[str, Any]] = [
        {"db": "plants", "question": f"How many machines {what}?", "lang": "en", "gold_sql": gold, "source": "own"}
        for what, gold in (
            ("are there", "SELECT 3"),
            ("are active", "SELECT 2"),
            ("are stopped", ["SELECT 0", "SELECT 1"]),
            ("fly", "SELECT 0"),
            ("are secret", "SELECT 0"),
        )
    ]
    opened = {"plants": open_database(tmp_path / "plants.sqlite")}
    chat = await open_chat_model(
        base_url=model_server.base_url, api_key=SecretStr("none"), model="fake", limits=CallLimits(max_retries=0)
    )
    found = await measure_model(questions, opened, chat)
    assert found == {key: {"refused": 2, "repaired": 1, "right": 2, "wrong": 1} for key in ("all", "own/en")}
    shown = model_server.requests()[0]["body"]["messages"][0]["content"]
    assert "machine\n  id INTEGER, primary key\n  status TEXT; such as" in shown
    assert shown.count("\nother_") < 9  # only the tables that matter
    model_server.configure(faults=[{"kind": "status", "times": -1}])
    assert (await measure_model(questions[:1], opened, chat))["all"] == {"failed": 1}
    await chat.aclose()
