"""A crawl is a job: of one worker at a time, given on when that dies, and seen by its tenant alone."""

from datetime import timedelta

import pytest

from auth.credentials import make_key_principal
from auth.principal import Principal
from auth.scopes import Scope
from domain import crawl_leases, crawls, jobs
from domain.crawl_leases import LeasedCrawl
from domain.db import Database
from domain.job_leases import MAX_ATTEMPTS, is_open
from domain.models import CrawlState, Job, JobKind, JobStage, JobStatus, WebSource, now
from domain.quotas import get_usage
from domain.scoping import count_everywhere, scoped, scoped_delete, scoped_update
from domain.tasks import get_task, list_tasks
from domain.web_sources import CrawlPlan, change_web_source, create_web_source, remove_web_source
from ingestion.jobs import tidy as tidy_all
from tests.domain.records import ACME, GLOBEX
from tests.domain.uploaded import job_of, new_dataset, upload
from utils.errors import Conflict, NotFound

URL = "https://example.org/"
SERVICE = "service:"


def add(database: Database, ctx: Principal = ACME, url: str = URL, every_s: int | None = None) -> str:
    with database.open_write_session() as session:
        return create_web_source(session, ctx, url, CrawlPlan(every_s=every_s)).web_source_id


def claim(database: Database, source_id: str, worker: str = "one", ctx: Principal = ACME) -> LeasedCrawl:
    with database.open_write_session() as session:
        return crawl_leases.claim(session, ctx, source_id, worker=worker)[1]


def renew(database: Database, held: LeasedCrawl, progress: float = 0.5) -> bool:
    with database.open_write_session() as session:
        return crawl_leases.renew_crawl(session, ACME, held, progress=progress, lease_s=15) is not None


def finish(database: Database, held: LeasedCrawl, error: str | None = None) -> None:
    with database.open_write_session() as session:
        source = crawl_leases.renew_crawl(session, ACME, held, progress=0.9, lease_s=15)
        assert source is not None
        crawl_leases.finish(session, ACME, source, held, error)


def crawl_of(database: Database, source_id: str, ctx: Principal = ACME) -> Job:
    with database.open_read_session() as session:
        return session.scalars(scoped(ctx, Job).where(Job.web_source_id == source_id)).one()


def source_of(database: Database, source_id: str) -> WebSource:
    with database.open_read_session() as session:
        return session.scalars(scoped(ACME, WebSource).where(WebSource.web_source_id == source_id)).one()


def let_lease_run_out(database: Database) -> None:
    with database.open_write_session() as session:
        session.execute(scoped_update(ACME, Job).values(lease_until=now() - timedelta(seconds=1)))


def queue(database: Database) -> None:
    """What the leader does before it looks for work."""
    with database.open_read_session() as session:
        tenants = crawls.list_tenants_to_queue(session, SERVICE)
    for ctx in tenants:
        with database.open_write_session() as session:
            crawls.queue_due(session, ctx, SERVICE)


def due(database: Database) -> dict[str, list[str]]:
    with database.open_read_session() as session:
        return {ctx.tenant_id: crawls.list_due(session, ctx) for ctx in crawls.list_tenants_with_due(session)}


def test_a_new_web_source_is_due_once_and_for_its_tenant_alone(database: Database) -> None:
    mine, theirs = add(database), add(database, GLOBEX)
    assert due(database) == {"acme": [mine], "globex": [theirs]}
    held = claim(database, mine)
    assert due(database) == {"globex": [theirs]}
    assert (held.stage, held.attempts) == (JobStage.CRAWLING, 1)
    with pytest.raises(Conflict, match="already being crawled"):
        claim(database, mine, "two")
    with pytest.raises(NotFound):
        claim(database, mine, "two", GLOBEX)
    finish(database, held)
    queue(database)
    assert due(database) == {"globex": [theirs]}
    assert (crawl_of(database, mine).status, crawl_of(database, mine).progress) == (JobStatus.COMPLETED, 1.0)


def test_a_crawl_whose_worker_died_is_given_on_and_the_former_worker_can_write_nothing(database: Database) -> None:
    source_id = add(database)
    first = claim(database, source_id)
    assert renew(database, first)
    let_lease_run_out(database)
    tidy_all(database)
    left = crawl_of(database, source_id)
    assert (left.status, left.stage, left.progress, left.worker) == (JobStatus.PENDING, JobStage.CRAWLING, 0.5, None)
    assert "stopped before it was done" in str(left.error)
    assert not renew(database, first)
    second = claim(database, source_id, "two")
    assert not renew(database, first)
    assert renew(database, second)
    assert source_of(database, source_id).crawl == 1, "the same crawl goes on"


def test_a_crawl_that_ends_its_worker_again_and_again_fails_and_its_schedule_goes_on(database: Database) -> None:
    source_id = add(database, every_s=3600)
    for number in range(MAX_ATTEMPTS):
        claim(database, source_id, f"{number}")
        let_lease_run_out(database)
        tidy_all(database)
    failed = crawl_of(database, source_id)
    assert (failed.status, failed.attempts) == (JobStatus.FAILED, MAX_ATTEMPTS)
    assert failed.advice
    assert source_of(database, source_id).next_at is not None


def test_pages_that_are_read_are_no_failed_attempts(database: Database) -> None:
    source_id = add(database)
    for number in range(MAX_ATTEMPTS + 1):
        held = claim(database, source_id, f"{number}")
        assert renew(database, held)
        let_lease_run_out(database)
        tidy_all(database)
        assert crawl_of(database, source_id).status == JobStatus.PENDING


def test_the_next_leader_takes_over_what_the_former_one_left_at_once(database: Database) -> None:
    of_service, of_command = add(database), add(database, url=f"{URL}other")
    claim(database, of_service, f"{SERVICE}1")
    held = claim(database, of_command, "command:host:1")
    with database.open_write_session() as session:
        assert [ctx.tenant_id for ctx in crawl_leases.list_tenants_crawled_by(session, SERVICE)] == ["acme"]
        crawl_leases.take_over(session, ACME, SERVICE)
    assert due(database) == {"acme": [of_service]}
    assert renew(database, held)


def test_a_crawl_that_is_stopped_waits_for_the_next_worker(database: Database) -> None:
    source_id = add(database)
    held = claim(database, source_id)
    with database.open_write_session() as session:
        crawl_leases.release_crawl(session, ACME, held)
    assert due(database) == {"acme": [source_id]}
    assert crawl_of(database, source_id).attempts == 0
    with database.open_write_session() as session:
        crawl_leases.release_crawl(session, ACME, held)  # which is not ours any more


@pytest.mark.parametrize("is_held", [False, True])
def test_a_cancelled_crawl_ends_at_once_or_at_its_next_page_and_is_not_begun_again(
    database: Database, is_held: bool
) -> None:
    source_id = add(database, every_s=3600)
    held = claim(database, source_id) if is_held else None
    with database.open_write_session() as session, pytest.raises(NotFound):
        crawls.cancel_crawl(session, GLOBEX, source_id)
    with database.open_write_session() as session:
        crawls.cancel_crawl(session, ACME, source_id)
    if held:
        assert crawl_of(database, source_id).status == JobStatus.PROCESSING
        assert not renew(database, held)
    assert crawl_of(database, source_id).status == JobStatus.CANCELLED
    assert source_of(database, source_id).next_at is not None
    assert due(database) == {}


def test_a_cancelled_crawl_of_a_dead_worker_ends(database: Database) -> None:
    source_id = add(database)
    claim(database, source_id)
    with database.open_write_session() as session:
        crawls.cancel_crawl(session, ACME, source_id)
    let_lease_run_out(database)
    tidy_all(database)
    assert crawl_of(database, source_id).status == JobStatus.CANCELLED


def test_a_schedule_makes_a_job_when_its_time_has_come_and_one_at_a_time(database: Database) -> None:
    source_id = add(database, every_s=3600)
    held = claim(database, source_id)
    finish(database, held, "It is away.")
    failed = crawl_of(database, source_id)
    assert (failed.status, failed.error) == (JobStatus.FAILED, "It is away.")
    queue(database)
    assert due(database) == {}
    made = set()
    for _ in range(2):
        with database.open_write_session() as session:  # as an instance of 1.0.0 does that is asked for a crawl
            session.execute(scoped_update(ACME, WebSource).values(next_at=now() - timedelta(seconds=1)))
        queue(database)
        assert due(database) == {"acme": [source_id]}
        made.add(crawl_of(database, source_id).job_id)
    assert len(made) == 1
    again = crawl_of(database, source_id)
    assert (again.job_id != failed.job_id, again.subject_kind) == (True, "background")
    claim(database, source_id)
    assert source_of(database, source_id).crawl == 2


def test_a_schedule_that_is_changed_counts_from_then_on_unless_a_crawl_is_under_way(database: Database) -> None:
    source_id = add(database)
    for is_over in (False, True):
        if is_over:
            finish(database, claim(database, source_id))
        with database.open_write_session() as session:
            change_web_source(session, ACME, source_id, CrawlPlan(every_s=3600 + is_over))
        assert (source_of(database, source_id).next_at is not None) is is_over


def test_a_crawl_that_is_asked_for_twice_is_one(database: Database) -> None:
    source_id = add(database)
    first = crawl_of(database, source_id).job_id
    for _ in range(2):
        with database.open_write_session() as session:
            crawls.request_crawl(session, ACME, source_id)
        assert crawl_of(database, source_id).job_id == first
    finish(database, claim(database, source_id))
    key = make_key_principal("acme", "k3y", {Scope.WEB_SOURCES_WRITE})
    with database.open_write_session() as session:
        crawls.request_crawl(session, key, source_id)
    assert crawl_of(database, source_id).job_id != first
    assert claim(database, source_id).requester == key


def test_the_jobs_of_a_web_source_go_with_it(database: Database) -> None:
    source_id, theirs = add(database), add(database, GLOBEX)
    held = claim(database, source_id)
    with database.open_write_session() as session:
        remove_web_source(session, ACME, source_id)
    assert not renew(database, held)
    with database.open_read_session() as session:
        assert count_everywhere(session, Job, Job.kind == JobKind.CRAWL) == 1
    assert crawl_of(database, theirs, GLOBEX).status == JobStatus.PENDING


def test_crawls_and_documents_do_not_take_each_others_jobs_or_places_in_the_queue(database: Database) -> None:
    source_id = add(database)
    with database.open_write_session() as session:
        assert jobs.list_tenants_with_due(session) == []
        assert jobs.claim(session, ACME, worker="one") is None
        assert get_usage(session, ACME).queued_jobs == 0
        assert not jobs.is_any_processed(session)
    claim(database, source_id)
    with database.open_read_session() as session:
        assert not jobs.is_any_processed(session), "which would keep documents from being compared"
    document_id = upload(database, ACME, new_dataset(database, ACME)).document.document_id
    assert due(database) == {}
    assert job_of(database, ACME, document_id).status == JobStatus.PENDING
    let_lease_run_out(database)
    tidy_all(database)
    assert crawl_of(database, source_id).status == JobStatus.PENDING
    with database.open_read_session() as session:
        assert count_everywhere(session, Job, is_open()) == 2


@pytest.mark.parametrize(
    ("state", "holder", "held_s", "is_due"),
    [
        (CrawlState.WAITING, None, None, True),
        (CrawlState.RUNNING, "service:former", 1_000, True),
        (CrawlState.RUNNING, "command:host:1", 1_000, False),
        (CrawlState.RUNNING, "command:host:1", -1, True),
        (CrawlState.COMPLETED, None, None, False),
    ],
)
def test_a_web_source_of_the_version_before_is_gone_on_with(
    database: Database, state: CrawlState, holder: str | None, held_s: int | None, is_due: bool
) -> None:
    source_id = add(database)
    theirs = add(database, GLOBEX)
    with database.open_write_session() as session:
        session.execute(scoped_delete(ACME, Job))
        held_until = None if held_s is None else now() + timedelta(seconds=held_s)
        next_at = None if state == CrawlState.COMPLETED else now() - timedelta(seconds=5)
        former = {"state": state, "holder": holder, "held_until": held_until, "next_at": next_at, "crawl": 3}
        session.execute(scoped_update(ACME, WebSource).values(**former, error="Before."))
    source = source_of(database, source_id)
    shown = {CrawlState.WAITING: "pending", CrawlState.RUNNING: "processing"}.get(state, state.value)
    assert (crawls.derive_status(source, None), crawls.derive_error(source, None)) == (shown, "Before.")
    queue(database)
    assert due(database) == {**({"acme": [source_id]} if is_due else {}), "globex": [theirs]}
    if held_s == 1_000 and not is_due:
        with pytest.raises(Conflict):
            claim(database, source_id)
    if is_due:
        claim(database, source_id)
        goes_on = state == CrawlState.RUNNING
        assert source_of(database, source_id).crawl == (3 if goes_on else 4)
        finish(database, claim_again(database, source_id))
        queue(database)
        assert due(database) == {"globex": [theirs]}


def claim_again(database: Database, source_id: str) -> LeasedCrawl:
    let_lease_run_out(database)
    return claim(database, source_id, "again")


def test_a_task_is_seen_by_its_tenant_whoever_asked_for_it_and_whoever_may_read_what_it_is_about(
    database: Database,
) -> None:
    asks = make_key_principal("acme", "asks", {Scope.TASKS_READ})
    source_id = add(database, asks)
    upload(database, asks, new_dataset(database, ACME))
    crawl_id = crawl_of(database, source_id).job_id
    readers = {
        "asks": (asks, {"crawl", "document"}),
        "documents": (make_key_principal("acme", "d", {Scope.DOCUMENTS_READ}), {"document"}),
        "web sources": (make_key_principal("acme", "w", {Scope.WEB_SOURCES_READ}), {"crawl"}),
        "other": (make_key_principal("acme", "o", {Scope.TASKS_READ}), set()),
        "namesake": (make_key_principal("globex", "asks", set(Scope)), set()),
        "operator": (ACME, {"crawl", "document"}),
        "globex": (GLOBEX, set()),
    }
    with database.open_read_session() as session:
        for name, (ctx, kinds) in readers.items():
            seen = {task.job.kind for task in list_tasks(session, ctx, statuses=[*JobStatus], limit=9)}
            assert seen == kinds, name
            if "crawl" in kinds:
                task = get_task(session, ctx, crawl_id)
                assert (task.job.job_id, task.stage, task.source) == (crawl_id, JobStage.QUEUED, URL)
            else:
                with pytest.raises(NotFound, match="Task"):
                    get_task(session, ctx, crawl_id)


def test_a_job_of_a_kind_of_a_later_version_is_seen_by_whoever_asked_for_it(database: Database) -> None:
    key = make_key_principal("acme", "k3y", {Scope.TASKS_READ})
    with database.open_write_session() as session:
        mail = Job(tenant_id="acme", kind="mail", subject_id="k3y", subject_kind="key", payload={"to": "somebody"})
        session.add(mail)
    with database.open_read_session() as session:
        for ctx in (key, ACME):
            assert get_task(session, ctx, mail.job_id).source == "mail"
        for ctx in (make_key_principal("acme", "other", set(Scope)), GLOBEX):
            with pytest.raises(NotFound):
                get_task(session, ctx, mail.job_id)
    assert due(database) == {}
    with database.open_write_session() as session:
        assert jobs.claim(session, ACME, worker="one") is None
    tidy_all(database)
