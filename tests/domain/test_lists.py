"""Lists are read by indexes in their order, however long they are, and every row of them once; documents by status."""

import random
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import event, func, insert, inspect, select, text
from sqlalchemy.orm import Session

from auth.credentials import make_key_principal
from auth.principal import Principal
from auth.scopes import ALL_SCOPES
from domain import conflicts, datasets, index_marks, indexing, job_leases, jobs, progress, ratings, web_sources
from domain.db import Database
from domain.documents import record_failure, remove_documents, replace_document
from domain.job_requests import begin_again, cancel, remove_with_jobs
from domain.models import AnswerRating, Conflict, Dataset, Document, DocumentState, Job, JobStatus, WebPage, WebSource
from domain.paging import Part, Rows
from domain.passages import make_passage
from domain.quotas import UNLIMITED
from domain.scoping import EVERYWHERE, scoped, select_everywhere
from tests.domain.records import ACME, GLOBEX, content
from tests.domain.uploaded import claimed, job_of, let_lease_run_out, new_dataset, read, tidy, upload

pytestmark = pytest.mark.long

MANY = 5_000
BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
Row = dict[str, Any]
Listing = Callable[[Session, Principal, Part], Rows[Any]]


def fill(database: Database, ctx: Principal, documents: int) -> str:
    """So many documents of a tenant, with jobs and in two datasets, and ratings, datasets and web pages besides."""
    dataset_id, another_id = new_dataset(database, ctx, "Many"), new_dataset(database, ctx, "Another")
    tenant = {"tenant_id": ctx.tenant_id}
    rows: list[Row] = [
        {
            **tenant,
            "document_id": f"{ctx.tenant_id}-{number:06}",
            "dataset_id": dataset_id if number % 2 else another_id,
            "origin": f"upload:{ctx.tenant_id}-{number:06}",
            "source": "a.md",
            "state": DocumentState.READY,
            "lexical_slots": 15,  # nothing is left to be done about it
            "created_at": BEGAN + timedelta(seconds=number // 3),  # several at one moment
        }
        for number in range(documents)
    ]
    done = [
        {**tenant, "document_id": row["document_id"], "content_hash": "a", "file_name": "a.md", "size_bytes": 1}
        | {"status": JobStatus.COMPLETED}
        for row in rows
    ]
    rated = [
        {
            **tenant,
            "run_id": f"r{number:06}",
            "conversation_id": "c",
            "owner_id": ctx.subject_id,
            "rating": "up",
            "question": "?",
            "answer": ".",
        }
        | {"stands_alone": True, "answered": True, "rated_at": BEGAN + timedelta(seconds=number // 3)}
        for number in range(documents)
    ]
    differing = [
        {**tenant, "conflict_id": f"{ctx.tenant_id}-{number:06}", "kind": "clock", "status": "open"}
        | {f"{side}_{what}": "a" for side in ("one", "other") for what in ("id", "title", "sentence")}
        | {"one_version": 1, "other_version": 1, "found_at": BEGAN + timedelta(seconds=number // 3)}
        for number in range(documents)
    ]
    sets = [{**tenant, "name": f"{number}", "created_at": BEGAN} for number in range(1, documents // 5)]
    with database.open_write_session() as session:
        for model, made in (
            (Document, rows),
            (Job, done),
            (AnswerRating, rated),
            (Dataset, sets),
            (Conflict, differing),
        ):
            session.execute(insert(model), made)
        source = web_sources.create_web_source(session, ctx, "https://example.org/", web_sources.CrawlPlan())
        page = {**tenant, "web_source_id": source.web_source_id, "crawl": 1, "depth": 1, "waiting": False}
        pages = [{**page, "url": f"https://example.org/{number}", "position": number} for number in range(documents)]
        session.execute(insert(WebPage), pages)
    if database.is_server:  # as it does by itself, where SQLite never does
        with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text("VACUUM ANALYZE"))
    return dataset_id


@contextmanager
def statements(database: Database) -> Iterator[list[tuple[str, Any]]]:
    """What is asked of the database within the block."""
    asked: list[tuple[str, Any]] = []

    def note(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        if statement.lstrip().startswith("SELECT"):
            asked.append((statement, parameters))

    event.listen(database.engine, "before_cursor_execute", note)
    try:
        yield asked
    finally:
        event.remove(database.engine, "before_cursor_execute", note)


def plan_of(database: Database, statement: str, parameters: Any) -> str:
    """How the database goes about it."""
    with database.engine.connect() as connection:
        if not database.is_server:
            rows = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters).all()
            return "\n".join(row[-1] for row in rows)
        # For a table that is small enough to be read whole: what it can do is looked at.
        connection.execute(text("SET enable_seqscan = off; SET enable_bitmapscan = off"))
        return "\n".join(row[0] for row in connection.exec_driver_sql(f"EXPLAIN {statement}", parameters))


def cost_of(database: Database, statement: str, parameters: Any) -> int:
    """What it takes: steps of SQLite's machine, or blocks that PostgreSQL looks at."""
    with database.engine.connect() as connection:
        if database.is_server:
            explain = f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {statement}"
            plan = connection.exec_driver_sql(explain, parameters).scalar_one()[0]["Plan"]
            return int(plan["Shared Hit Blocks"] + plan["Shared Read Blocks"])
        steps = 0

        def count() -> int:
            nonlocal steps
            steps += 1
            return 0

        driver: Any = connection.connection.driver_connection
        driver.set_progress_handler(count, 10)
        connection.exec_driver_sql(statement, parameters).all()
        driver.set_progress_handler(None, 0)
        return steps


LISTS: dict[str, Listing] = {
    "all documents": lambda session, ctx, part: progress.list_progress(session, ctx, None, part),
    "a dataset": lambda session, ctx, part: progress.list_progress(session, ctx, dataset_of(session, ctx), part),
    "failed": lambda session, ctx, part: progress.list_progress(session, ctx, None, part, status="failed"),
    "failed in a dataset": lambda session, ctx, part: progress.list_progress(
        session, ctx, dataset_of(session, ctx), part, status="failed"
    ),
    "completed": lambda session, ctx, part: progress.list_progress(session, ctx, None, part, status="completed"),
    "datasets": datasets.list_datasets,
    "conflicts": lambda session, ctx, part: conflicts.list_conflicts(session, ctx, part, status="open"),
    "ratings": ratings.list_ratings,
    "good ratings": lambda session, ctx, part: ratings.list_ratings(session, ctx, part, rating="up"),
    "all ratings": lambda session, ctx, part: ratings.list_ratings(session, sharing(ctx), part),
    "all good ratings": lambda session, ctx, part: ratings.list_ratings(session, sharing(ctx), part, rating="up"),
    "web sources": web_sources.list_web_sources,
}


def sharing(ctx: Principal) -> Principal:
    return make_key_principal(ctx.tenant_id, ctx.subject_id, scopes=ALL_SCOPES)


def dataset_of(session: Session, ctx: Principal) -> str:
    many = scoped(ctx, Dataset).where(Dataset.name == "Many")
    return str(session.scalars(many.with_only_columns(Dataset.dataset_id)).one())


def test_every_list_gives_each_row_once_and_counts_are_taken_from_indexes_alone(database: Database) -> None:
    dataset_id = fill(database, ACME, MANY)
    for name, read_list in LISTS.items():
        seen: list[str] = []
        part, after = Part(200), None
        with database.open_read_session() as session:
            while after or not seen:
                found = read_list(session, ACME, part)
                seen += [identity(row) for row in found.rows]
                part, after = Part(200, after=found.next_after), found.next_after
                if after is None:
                    break
        assert len(seen) == len(set(seen)) == found.total, name
        assert found.total in (0, 1, MANY // 5 + 1, MANY // 2, MANY), name
    with database.open_read_session() as session, statements(database) as asked:
        assert datasets.count_documents(session, ACME, [dataset_id]) == {dataset_id: MANY // 2}
        [source] = web_sources.list_web_sources(session, ACME).rows
        assert web_sources.count_waiting(session, ACME, source.web_source_id) == 0
    for statement, parameters in asked:
        if "count(" in statement:
            assert_counted_by_index(database, statement, parameters)


def identity(row: Any) -> str:
    return str(inspect(getattr(row, "document", row)).identity)


def test_a_part_of_a_list_costs_the_same_of_twenty_rows_and_of_thousands(database: Database) -> None:
    for ctx, size in ((ACME, MANY), (GLOBEX, 20)):
        fill(database, ctx, size)
    for name, read_list in LISTS.items():
        costs = {ctx: costs_of_first_and_deep(database, ctx, read_list) for ctx in (ACME, GLOBEX)}
        assert max(costs[ACME]) <= max(3 * costs[GLOBEX][0], 60), (name, costs)  # 60 blocks: of 20 rows and their jobs


def costs_of_first_and_deep(database: Database, ctx: Principal, read_list: Listing) -> list[int]:
    """Of the first part and of one in the middle, without the counting, which has to be done by an index alone."""
    with database.open_read_session() as session:
        whole = read_list(session, ctx, Part(200)).next_after
        parts = [Part(20), *([Part(20, after=whole)] if whole else [])]
        costs = []
        for part in parts:
            with statements(database) as asked:
                read_list(session, ctx, part)
            counts = [one for one in asked if "count(" in one[0]]
            for one in counts:
                assert_counted_by_index(database, *one)
            costs.append(sum(cost_of(database, *one) for one in asked if one not in counts))
        return costs


def assert_counted_by_index(database: Database, statement: str, parameters: Any) -> None:
    plan = plan_of(database, statement, parameters)
    if "chunks" not in statement:
        # Or by one that finds a row at most: which of several, PostgreSQL chooses by what it estimates.
        alone = r"Index Only Scan|Index Scan using .* rows=1 " if database.is_server else "COVERING INDEX"
        assert re.search(alone, plan), (statement, plan)


@pytest.mark.parametrize("seed", [1, 2])
def test_the_status_of_a_document_is_that_of_its_job_or_else_of_its_state_whatever_happens(
    database: Database, seed: int
) -> None:
    dice, dataset_id = random.Random(seed), new_dataset(database, ACME)

    def uploaded() -> list[str]:
        with database.open_read_session() as session:
            return list(session.scalars(scoped(ACME, Job).with_only_columns(Job.document_id).order_by(Job.created_at)))

    def change(work: Callable[[Session, str], object]) -> None:
        if (ids := uploaded()) and (document_id := dice.choice(ids)):
            with database.open_write_session() as session:
                work(session, document_id)

    def add() -> None:
        upload(database, ACME, dataset_id, f"{dice.randrange(6)}.md", f"{dice.randrange(9):064x}")

    def load() -> None:
        with database.open_write_session() as session:
            replace_document(session, ACME, f"/{dice.randrange(3)}.md", content(f"{dice.randrange(9)}"))

    def break_file() -> None:
        with database.open_write_session() as session:
            record_failure(session, ACME, f"/{dice.randrange(3)}.md", "x.md", "It is damaged.")

    def work() -> None:
        with database.open_write_session() as session:
            held = jobs.claim(session, ACME, worker="one")
        if held is None:
            return
        ending = dice.randrange(4)
        if ending == 0:
            read(database, ACME, held)
            return
        with database.open_write_session() as session:
            jobs.lock_claimed_document(session, ACME, held)
            failure = job_leases.Failure("It is damaged.", "Mend it.")
            ends = (jobs.fail, jobs.retry_later)[ending % 2]
            ends(session, ACME, held, failure) if ending < 3 else jobs.hand_back(session, ACME, held)

    def index() -> None:
        with database.open_write_session() as session:
            waiting = indexing.list_documents_without_words(session, ACME, 20)
            gone = [document for document, _ in waiting if document.state == DocumentState.REMOVED]
            there = [(document, chunks) for document, chunks in waiting if document.state != DocumentState.REMOVED]
            passages = [make_passage(document, chunk) for document, chunks in there for chunk in chunks]
            index_marks.drop_removed(session, ACME, gone)
            index_marks.mark_words(session, ACME, passages)
            index_marks.mark_searchable(session, ACME, [document for document, _ in there])
            if dice.random() < 0.7:
                index_marks.mark_vectors(session, ACME, passages)

    def lose() -> None:
        with database.open_write_session() as session:
            index_marks.mark_undone(session, ACME)

    def remove() -> None:
        change(lambda session, document_id: remove_with_jobs(session, ACME, [document_id]))

    def remove_loaded() -> None:
        with database.open_write_session() as session:
            of_folder = scoped(ACME, Document).where(Document.origin == f"/{dice.randrange(3)}.md")
            remove_documents(session, ACME, [one.document_id for one in session.scalars(of_folder)])

    def again() -> None:
        change(lambda session, document_id: begin_again(session, ACME, document_id, UNLIMITED))

    def stop() -> None:
        def cancel_open(session: Session, document_id: str) -> None:
            job = session.scalars(scoped(ACME, Job).where(Job.document_id == document_id)).one()
            if job.status in job_leases.OPEN:
                cancel(session, ACME, document_id)

        change(cancel_open)

    def die() -> None:
        let_lease_run_out(database, ACME)
        tidy(database, ACME)

    steps = [add, add, load, break_file, work, work, index, index, lose, remove, remove_loaded, again, stop, die]
    for _ in range(60):
        dice.choice(steps)()
        assert_statuses(database)


def assert_statuses(database: Database) -> None:
    """The column says of each document what is worked out of its job and its state."""
    with database.open_read_session() as session:
        rows = session.execute(
            select(Document, Document.status, Job)
            .execution_options(**EVERYWHERE)
            .outerjoin(Job, Job.document_id == Document.document_id)
        ).all()
        for document, status, job in rows:
            expected = "removed" if document.state == "removed" else progress.derive_status(document, job)
            assert status == expected, (document.state, document.job_status)
        counted = {str(status): 0 for _, status, _ in rows}
        for _, status, _ in rows:
            counted[str(status)] += 1
        for status in JobStatus:
            found = progress.list_progress(session, ACME, None, Part(200), status=status)
            assert found.total == len(found.rows) == counted.get(status, 0)
        present = progress.list_progress(session, ACME, None, Part(200))
        assert present.total == len(present.rows) == len(rows) - counted.get("removed", 0)


@pytest.mark.parametrize("migrated_uri", ["postgresql"], indirect=True)  # on SQLite one writes at a time
def test_a_worker_and_an_upload_that_replaces_do_not_wait_for_each_other_for_ever(database: Database) -> None:
    dataset_id = new_dataset(database, ACME)
    document_id = upload(database, ACME, dataset_id).document.document_id
    with database.open_write_session() as session:
        session.execute(scoped(ACME, Document).where(Document.document_id == document_id).with_for_update())
        with database.open_write_session() as other:  # passes over what somebody else has, and does not lock its job
            assert jobs.claim(other, ACME, worker="one") is None
        begin_again(session, ACME, document_id, UNLIMITED)
    assert claimed(database, ACME).document_id == document_id
    assert job_of(database, ACME, document_id).status == JobStatus.PROCESSING


def test_a_list_has_no_row_of_another_tenant(database: Database) -> None:
    for ctx, size in ((ACME, 30), (GLOBEX, 10)):
        fill(database, ctx, size)
    with database.open_read_session() as session:
        for name, read_list in LISTS.items():
            for ctx in (ACME, GLOBEX):
                for row in read_list(session, ctx, Part(200)).rows:
                    owned: Any = getattr(row, "document", row)
                    assert owned.tenant_id == ctx.tenant_id, name
        assert session.scalar(select_everywhere(WebSource).with_only_columns(func.count(WebSource.tenant_id))) == 2
