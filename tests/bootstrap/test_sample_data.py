"""The sample database: the same at each start, asked by rules, open to whoever chats, and gone with the samples."""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import date
from pathlib import Path

import pytest
from pydantic import SecretStr

from agents.bots import BotConfig
from agents.tools.chart import make_chart_tool
from agents.tools.data import make_data_tool
from agents.tools.tool import ToolCall, ToolFailed, ToolResult
from auth.credentials import make_page_principal, make_visitor
from auth.operators import make_operator
from auth.principal import DEFAULT_BOT, DEFAULT_TENANT, Principal
from bootstrap.sample_data import follow_samples, populate_by_command, refresh_sample_data
from bootstrap.source_opening import open_data_sources
from config import Settings, load_settings
from datasources.questions.words import detect_question_language
from datasources.sample_maintenance import DUE_THIS_MONTH, SAMPLE_FILE, SAMPLE_QUESTIONS, write_database
from domain import bots, data_sources
from domain.db import Database
from domain.documents import replace_document
from domain.keys import ensure_tenant
from tests.domain.records import GLOBEX, content, two_tenants
from utils.errors import NotFound
from utils.formats import format_cell
from utils.validity import today

CTX = make_operator(DEFAULT_TENANT)
VISITOR = make_visitor(make_page_principal(), "somebody")
QUESTIONS = json.loads((Path(__file__).parents[1] / "samples" / "questions.json").read_text(encoding="utf-8"))
TOOLS = ["query_data", "draw_chart"]
DUE = "SELECT count(*) FROM equipment WHERE next_maintenance BETWEEN date('now', 'start of month') AND :last"
COUNT, BY_STATUS = "SELECT count(*) FROM equipment", "SELECT status, count(*) FROM equipment GROUP BY status"
AVERAGE = "SELECT avg(downtime_minutes) FROM maintenance_cycle"
CYCLES = "SELECT e.name, count(*) FROM maintenance_cycle c JOIN equipment e ON c.equipment_id = e.id GROUP BY e.name"
LAST_YEAR = "SELECT count(*) FROM job WHERE substr(done_on, 1, 4) = strftime('%Y', 'now', '-1 year')"
NEXT = "SELECT next_maintenance FROM equipment WHERE name = 'Pump A1'"
CRITICAL = "FROM equipment WHERE id IN (SELECT equipment_id FROM maintenance_cycle WHERE severity = 'Critical')"
HOURS = "SELECT name FROM equipment ORDER BY operating_hours DESC LIMIT 1"
ASKED = (
    ("How many machines are due for maintenance this month?", None),
    ("¿Cuántas máquinas necesitan mantenimiento este mes?", None),
    ("¿Cuántos equipos tienen mantenimiento este mes?", None),
    ("Berapa banyak mesin yang jatuh tempo perawatan bulan ini?", None),
    ("How many machines are there?", COUNT),
    ("¿Cuántas máquinas hay?", COUNT),
    ("Ada berapa mesin?", COUNT),
    ("How many machines for each status?", BY_STATUS),
    ("¿Cuántas máquinas hay para cada estado?", BY_STATUS),
    ("Berapa jumlah mesin untuk setiap status?", BY_STATUS),
    ("How many machines are stopped?", "SELECT count(*) FROM equipment WHERE status = 'Stopped'"),
    ("How many machines are in the Harbour?", "SELECT count(*) FROM equipment WHERE location = 'Harbour'"),
    ("When is the next maintenance of Pump A1?", NEXT),
    ("Which machine has the most operating hours?", HOURS),
    ("¿Qué máquina tiene más horas de funcionamiento?", HOURS),
    ("Mesin mana yang memiliki jam operasi terbanyak?", HOURS),
    ("What is the average downtime of the maintenance cycles?", AVERAGE),
    ("¿Cuál es el promedio del tiempo de parada de los ciclos?", AVERAGE),
    ("Berapa rata-rata waktu henti siklus perawatan?", AVERAGE),
    ("How many cycles are unscheduled?", "SELECT count(*) FROM maintenance_cycle WHERE planning = 'Unscheduled'"),
    ("How many cycles for each machine?", CYCLES),
    # A machine that several cycles match is one machine.
    ("How many machines have critical severity?", f"SELECT count(*) {CRITICAL}"),
    ("total operating hours of machines with critical severity",
     f"SELECT sum(operating_hours) {CRITICAL}"),
    ("How many machines with critical severity per location?",
     f"SELECT location, count(*) {CRITICAL} GROUP BY location"),
    ("How many jobs for each job type?", "SELECT job_type, count(*) FROM job GROUP BY job_type"),
    ("máquinas por estado", BY_STATUS),
    ("mesin per status", BY_STATUS),
    ("¿Cuántos trabajos fueron realizados el año pasado?", LAST_YEAR),
    ("Berapa pekerjaan dikerjakan tahun lalu?", LAST_YEAR),
    ("¿Cuándo es el próximo mantenimiento de Pump A1?", NEXT),
    ("Kapan perawatan berikutnya Pump A1?", NEXT),
)  # fmt: skip


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load_settings(_env_file=None, data_dir=tmp_path / "data")


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    with closing(two_tenants(f"sqlite:///{tmp_path / 'records.db'}")) as opened:
        with opened.open_write_session() as session:
            ensure_tenant(session, DEFAULT_TENANT)
        yield opened


def list_tools(database: Database) -> list[str] | None:
    with database.open_read_session() as session:
        try:
            return bots.get_bot(session, CTX, DEFAULT_BOT).answers.get("tools")
        except NotFound:
            return None


@pytest.mark.parametrize("day", [date(2026, 11, 25), date(2028, 2, 29), date(2027, 1, 31), date(2026, 12, 1)])
def test_fifteen_machines_are_due_in_the_month_of_any_day(tmp_path: Path, day: date) -> None:
    file = tmp_path / "plant.db"
    assert write_database(file, day)
    first = file.read_bytes()
    assert not write_database(file, day)
    with closing(sqlite3.connect(file)) as connection:
        due = "SELECT count(*) FROM equipment WHERE substr(next_maintenance, 1, 7) = ?"
        assert connection.execute(due, (day.isoformat()[:7],)).fetchone() == (DUE_THIS_MONTH,)
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
        assert connection.execute("SELECT max(last_maintenance) < ? FROM equipment", (day.isoformat(),)).fetchone()[0]
        assert connection.execute("SELECT max(end_time) < ? FROM maintenance_cycle", (day.isoformat(),)).fetchone()[0]
    file.unlink()
    assert write_database(file, day)
    assert file.read_bytes() == first


async def test_rules_answer_plain_questions_in_three_languages_also_to_visitors(
    database: Database, settings: Settings
) -> None:
    follow_samples(settings, database, CTX)
    file = settings.data_dir / "data-sources" / DEFAULT_TENANT / SAMPLE_FILE
    with closing(open_data_sources(settings, database, None)) as sources, closing(sqlite3.connect(file)) as connection:
        tool = make_data_tool(sources)
        for question, sql in ASKED:
            assert tool.read_question is not None
            assert await tool.read_question(VISITOR, question, "") == {"question": question}, question
            text = (await tool.run(ToolCall(VISITOR, BotConfig(), {"question": question}, "key"))).text
            rows = connection.execute(sql).fetchall() if sql else [(DUE_THIS_MONTH,)]
            told = [line for line in text.splitlines()[:-1] if "---" not in line]
            language = detect_question_language(question)
            assert len(rows) == 1 or sum(line.startswith("|") for line in told) == 1 + min(30, len(rows))
            for row in rows if len(rows) <= 30 else []:
                cells = [format_cell(cell, language) for cell in row]
                assert any(all(cell in line for cell in cells) for line in told), (question, text, row)
        days = await tool.run(ToolCall(VISITOR, BotConfig(), {"question": "What jobs were done?"}, "key"))
        assert days.text.splitlines()[0] == "Done on of job:"  # days are not counted as jobs
        for language, known in SAMPLE_QUESTIONS.items():
            found = [each.suggestion for each in await sources.suggest(VISITOR, language)]
            assert found[: len(known)] == list(known), language
        for name in ("Maintenance?", "What is a machine?", "¿Qué es un componente?"):
            assert not await sources.match_sources(VISITOR, name), name
        documents = [each["question"] for each in QUESTIONS["questions"]]
        documents += [turn["question"] for talk in QUESTIONS["conversations"] for turn in talk["turns"]]
        assert [each for each in documents if await sources.match_sources(VISITOR, each)] == []
        with database.open_write_session() as session:
            data_sources.find_source(session, CTX, "Maintenance").open_to_visitors = False
        assert not await sources.match_sources(VISITOR, ASKED[0][0])
        assert [len(await sources.suggest(each, "en")) for each in (VISITOR, GLOBEX, CTX)] == [0, 0, 3]
        with pytest.raises(ToolFailed, match="There are no data sources"):
            await tool.run(ToolCall(VISITOR, BotConfig(), {"question": ASKED[0][0]}, "key"))
        assert await sources.match_sources(CTX, ASKED[0][0])
        assert not await sources.match_sources(GLOBEX, ASKED[0][0])


async def test_the_chart_tool_draws_what_is_named_or_fits_and_says_why_it_does_not(
    database: Database, settings: Settings
) -> None:
    follow_samples(settings, database, CTX)
    question = "How many machines for each status?"
    with closing(open_data_sources(settings, database, None)) as sources:
        tool = make_chart_tool(sources)
        assert tool.read_question is not None

        async def draw(ctx: Principal, **said: str) -> ToolResult:
            assert not tool.find_fault({"question": question, **said})
            return await tool.run(ToolCall(ctx, BotConfig(), {"question": question, **said}, "key"))

        drawn = await draw(VISITOR)
        assert drawn.chart is not None
        assert drawn.chart["spec"]["mark"]["type"] == "bar"
        assert drawn.text.endswith("A chart of this is shown with the answer.")
        named = (await draw(VISITOR, x="status", y="number of equipment", mark="line", title="Ours")).chart or {}
        assert (named["spec"]["mark"]["type"], named["spec"]["title"]["text"]) == ("line", "Ours")
        asked = (await draw(VISITOR, question=f"{question} As a line chart")).chart or {}
        assert asked["spec"]["mark"]["type"] == "line"
        for said, why in (
            ({"x": "secret", "y": "status"}, "no column 'secret'"),
            ({"x": "status"}, "both x and y"),
            ({"x": "number of equipment", "y": "status"}, "no figures"),
        ):
            with pytest.raises(ToolFailed, match=why):
                await draw(VISITOR, **said)
        one = await draw(VISITOR, question="How many machines are there?")
        assert (one.chart, "There are 60 machines." in one.text, "no chart of one figure" in one.text) == (
            None,
            True,
            True,
        )
        with pytest.raises(ToolFailed, match="There are no data sources"):
            await draw(GLOBEX)
        for newest, previous, read in (
            (f"{question[:-1]} as a bar chart?", "", {"question": question, "mark": "bar"}),
            ("dalam grafik garis", f"{question[:-1]} as a bar chart?", {"question": question, "mark": "line"}),
            ("as a chart", question, {"question": question}),
            ("as a chart", "", None),
            ("as a chart", "How much does a room cost?", None),
            ("What does the chart on page 3 show?", question, None),
            (question, "", None),
        ):
            assert await tool.read_question(VISITOR, newest, previous) == read, newest


def test_it_follows_the_samples_and_what_a_command_made_stays(database: Database, settings: Settings) -> None:
    file = settings.data_dir / "data-sources" / DEFAULT_TENANT / SAMPLE_FILE
    for _ in range(2):
        follow_samples(settings, database, CTX)
        assert list_tools(database) == TOOLS
    with database.open_write_session() as session:
        assert data_sources.find_only_source(session, CTX).version == 2
        bots.change_bot(session, CTX, DEFAULT_BOT, answers={"tools": []})
    follow_samples(settings, database, CTX)
    assert list_tools(database) == []  # what an administrator took away is not given again
    for bring_up_to_date in (follow_samples, refresh_sample_data):
        assert write_database(file, date(2026, 1, 1), mark=1)
        bring_up_to_date(settings, database, CTX)
        assert not write_database(file, today(), mark=1)
    assert [each.name for each in file.parent.iterdir()] == [SAMPLE_FILE]
    elsewhere = settings.model_copy(update={"database_uri": SecretStr("sqlite://")})
    for now, tools in ((elsewhere, None), (settings, TOOLS)):
        with database.open_write_session() as session:
            if list_tools(database) is not None:
                bots.change_bot(session, CTX, DEFAULT_BOT, answers={"tools": TOOLS})
        follow_samples(now, database, CTX)
        assert (list_tools(database), file.exists()) == (tools, tools is not None)
    with database.open_write_session() as session:
        bots.create_bot(session, GLOBEX, "plant", "Plant", {"tools": []})
    assert populate_by_command(settings, database, GLOBEX, "plant") == "Maintenance"
    with database.open_write_session() as session:
        assert bots.get_bot(session, GLOBEX, "plant").answers == {"tools": TOOLS}
        bots.change_bot(session, CTX, DEFAULT_BOT, answers={"tools": TOOLS})
        replace_document(session, CTX, "upload/leave.md", content("Leave is granted."))
    for ctx in (CTX, GLOBEX):
        follow_samples(settings, database, ctx)
    with database.open_read_session() as session:
        assert data_sources.list_source_ids(session, CTX) == []
        assert len(data_sources.list_source_ids(session, GLOBEX)) == 1
    assert (list_tools(database), file.exists()) == (None, False)
    refresh_sample_data(settings, database, CTX)
    assert not file.exists()
