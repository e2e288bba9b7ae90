"""A job belongs to one worker at a time, is never lost, and ends once."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from domain import job_leases, jobs
from domain.db import Database
from domain.documents import get_document
from domain.indexing import count_without_words, list_tenants_without_words
from domain.job_leases import MAX_ATTEMPTS, Failure, LeaseLost
from domain.job_requests import begin_again, cancel, remove_with_jobs
from domain.models import Document, DocumentState, Job, JobStage, JobStatus, now
from domain.quotas import UNLIMITED
from domain.scoping import count_everywhere, scoped_update
from tests.domain.records import ACME, GLOBEX
from tests.domain.uploaded import (
    claimed,
    job_of,
    let_lease_run_out,
    let_pause_be_over,
    new_dataset,
    read,
    tidy,
    upload,
)
from utils.errors import Conflict, NotFound

BROKEN = Failure("It is damaged.", "Send it again.")


def test_each_job_is_given_to_one_of_many_workers(database: Database) -> None:
    dataset_id = new_dataset(database, ACME)
    for number in range(12):
        upload(database, ACME, dataset_id, f"{number}.md", f"{number:064x}")

    def take_all(worker: str) -> list[str]:
        taken = []
        while True:
            with database.open_write_session() as session:
                held = jobs.claim(session, ACME, worker=worker)
            if held is None:
                return taken
            taken.append(held.job_id)

    with ThreadPoolExecutor(4) as pool:
        taken = [job for jobs_of_one in pool.map(take_all, "abcd") for job in jobs_of_one]
    assert len(taken) == len(set(taken)) == 12


def test_a_tenant_with_many_documents_does_not_keep_others_waiting(database: Database) -> None:
    for ctx, count in ((ACME, 5), (GLOBEX, 1)):
        dataset_id = new_dataset(database, ctx)
        for number in range(count):
            upload(database, ctx, dataset_id, f"{number}.md", f"{number:064x}")
    with database.open_read_session() as session:
        assert [ctx.tenant_id for ctx in jobs.list_tenants_with_due(session)] == ["acme", "globex"]
    claimed(database, GLOBEX)
    with database.open_read_session() as session:
        assert [ctx.tenant_id for ctx in jobs.list_tenants_with_due(session)] == ["acme"]
    with database.open_write_session() as session:
        assert jobs.claim(session, GLOBEX, worker="two") is None


def test_a_job_whose_worker_is_gone_goes_to_another_and_the_first_can_write_nothing_more(database: Database) -> None:
    document_id = upload(database, ACME, new_dataset(database, ACME)).document.document_id
    first = claimed(database, ACME, "first")
    assert tidy(database, ACME) == 0
    let_lease_run_out(database, ACME)
    assert tidy(database, GLOBEX) == 0
    assert tidy(database, ACME) == 1
    let_pause_be_over(database, ACME)
    second = claimed(database, ACME, "second")
    assert (second.job_id, second.stage, second.attempts) == (first.job_id, JobStage.READING, 2)
    for step in (
        lambda session: job_leases.renew(session, ACME, first, progress=0.5),
        lambda session: jobs.advance(session, ACME, first, JobStage.INDEXING),
        lambda session: jobs.fail(session, ACME, first, BROKEN),
        lambda session: jobs.lock_claimed_document(session, ACME, first),
    ):
        with pytest.raises(LeaseLost), database.open_write_session() as session:
            step(session)
    read(database, ACME, second)
    assert job_of(database, ACME, document_id).stage == JobStage.INDEXING


def test_a_worker_that_says_it_lives_keeps_its_job(database: Database) -> None:
    document_id = upload(database, ACME, new_dataset(database, ACME)).document.document_id
    held = claimed(database, ACME)
    let_lease_run_out(database, ACME)
    with database.open_write_session() as session:
        job_leases.renew(session, ACME, held, progress=0.25)
    assert tidy(database, ACME) == 0
    assert job_of(database, ACME, document_id).progress == 0.25


def test_a_document_that_ends_its_worker_each_time_fails_in_the_end_and_says_so(database: Database) -> None:
    document_id = upload(database, ACME, new_dataset(database, ACME)).document.document_id
    for _ in range(MAX_ATTEMPTS):
        claimed(database, ACME)
        let_lease_run_out(database, ACME)
        tidy(database, ACME)
        let_pause_be_over(database, ACME)
    job = job_of(database, ACME, document_id)
    assert (job.status, job.worker, job.lease_until) == (JobStatus.FAILED, None, None)
    assert f"{MAX_ATTEMPTS} times" in (job.error or "")
    assert job.advice
    with database.open_read_session() as session:
        document = get_document(session, ACME, document_id)
        assert (document.state, document.error) == (DocumentState.FAILED, job.error)


def test_a_job_that_is_put_off_waits_longer_each_time(database: Database) -> None:
    document_id = upload(database, ACME, new_dataset(database, ACME)).document.document_id
    pauses = []
    for _ in range(3):
        held = claimed(database, ACME)
        with database.open_write_session() as session:
            assert jobs.retry_later(session, ACME, held, BROKEN)
            at = job_leases.read_moment(session)
        job = job_of(database, ACME, document_id)
        assert (job.status, job.error) == (JobStatus.PENDING, "It is damaged.")
        pauses.append((job.not_before - at).total_seconds())
        with database.open_write_session() as session:
            assert jobs.claim(session, ACME, worker="early") is None
        let_pause_be_over(database, ACME)
    assert pauses[0] < pauses[1] < pauses[2]


def test_a_job_that_is_handed_back_is_anothers_at_once_and_no_try_is_counted(database: Database) -> None:
    upload(database, ACME, new_dataset(database, ACME))
    with database.open_write_session() as session:
        held = jobs.claim(session, ACME, worker="one")
        assert held is not None
        jobs.hand_back(session, ACME, held)
    assert claimed(database, ACME, "two").attempts == 1


def test_a_job_is_completed_when_its_document_is_in_the_index(database: Database) -> None:
    document_id = upload(database, ACME, new_dataset(database, ACME)).document.document_id
    read(database, ACME, claimed(database, ACME))
    assert tidy(database, ACME) == 0
    with database.open_write_session() as session:
        session.execute(scoped_update(ACME, Document).values(state=DocumentState.READY))
    assert tidy(database, GLOBEX) == 0
    assert tidy(database, ACME) == 1
    job = job_of(database, ACME, document_id)
    assert (job.status, job.progress, job.error) == (JobStatus.COMPLETED, 1.0, None)


def test_a_job_nobody_works_on_is_cancelled_at_once(database: Database) -> None:
    document_id = upload(database, ACME, new_dataset(database, ACME)).document.document_id
    with pytest.raises(NotFound), database.open_write_session() as session:
        cancel(session, GLOBEX, document_id)
    with database.open_write_session() as session:
        cancel(session, ACME, document_id)
    assert job_of(database, ACME, document_id).status == JobStatus.CANCELLED
    with database.open_write_session() as session:
        assert jobs.claim(session, ACME, worker="late") is None
    with pytest.raises(Conflict), database.open_write_session() as session:
        cancel(session, ACME, document_id)


def test_a_worker_learns_that_its_job_is_to_be_cancelled_and_writes_nothing(database: Database) -> None:
    document_id = upload(database, ACME, new_dataset(database, ACME)).document.document_id
    held = claimed(database, ACME)
    with database.open_write_session() as session:
        assert not jobs.end_cancelled(session, ACME, held)
        cancel(session, ACME, document_id)
    with pytest.raises(LeaseLost):
        read(database, ACME, held)
    with database.open_write_session() as session:
        assert jobs.end_cancelled(session, ACME, held)
    assert job_of(database, ACME, document_id).status == JobStatus.CANCELLED


def test_a_job_whose_worker_died_before_it_learned_of_the_cancelling_is_cancelled(database: Database) -> None:
    document_id = upload(database, ACME, new_dataset(database, ACME)).document.document_id
    claimed(database, ACME)
    with database.open_write_session() as session:
        cancel(session, ACME, document_id)
    let_lease_run_out(database, ACME)
    tidy(database, ACME)
    assert job_of(database, ACME, document_id).status == JobStatus.CANCELLED


def test_a_document_that_is_read_again_takes_the_job_from_whoever_has_it(database: Database) -> None:
    document_id = upload(database, ACME, new_dataset(database, ACME)).document.document_id
    held = claimed(database, ACME)
    with pytest.raises(NotFound), database.open_write_session() as session:
        begin_again(session, GLOBEX, document_id, UNLIMITED)
    with database.open_write_session() as session:
        begin_again(session, ACME, document_id, UNLIMITED)
    with pytest.raises(LeaseLost):
        read(database, ACME, held)
    again = claimed(database, ACME)
    assert (again.stage, again.content_hash) == (JobStage.READING, held.content_hash)


def test_a_removed_document_has_no_job_and_its_worker_does_not_bring_it_back(database: Database) -> None:
    document_id = upload(database, ACME, new_dataset(database, ACME)).document.document_id
    held = claimed(database, ACME)
    with database.open_write_session() as session:
        assert remove_with_jobs(session, GLOBEX, [document_id]) == set()
        assert remove_with_jobs(session, ACME, [document_id]) == {held.content_hash}
    with pytest.raises(LeaseLost):
        read(database, ACME, held)
    with database.open_read_session() as session:
        assert count_everywhere(session, Job, Job.document_id == document_id) == 0
        with pytest.raises(NotFound):
            get_document(session, ACME, document_id)


def test_no_index_waits_for_a_document_that_was_not_read_yet(database: Database) -> None:
    for ctx in (ACME, GLOBEX):
        upload(database, ctx, new_dataset(database, ctx))
    assert list_tenants_without_words(database) == []
    with database.open_read_session() as session:
        assert count_without_words(session, 2) == 0
    read(database, ACME, claimed(database, ACME))
    assert [ctx.tenant_id for ctx in list_tenants_without_words(database)] == ["acme"]


def test_the_smallest_file_is_read_first_and_where_wanted_the_one_that_has_waited_longest(database: Database) -> None:
    dataset = new_dataset(database, ACME)
    sizes = {}
    for place, size in enumerate((45_000_000, 10, 3_000_000, 2_000, 20)):
        sizes[upload(database, ACME, dataset, f"{size}.md", f"{place:064x}", size_bytes=size).document.document_id] = (
            size
        )
    theirs = upload(database, GLOBEX, new_dataset(database, GLOBEX), size_bytes=1).document.document_id
    with database.open_write_session() as session:  # long waits change nothing: a load may take hours
        first = scoped_update(ACME, Job).where(Job.size_bytes == 3_000_000)
        session.execute(first.values(not_before=now() - timedelta(minutes=11)))
    assert [sizes[claimed(database, ACME).document_id] for _ in range(3)] == [10, 20, 2_000]
    with database.open_write_session() as session:
        oldest = jobs.claim(session, ACME, worker="one", oldest_first=True)
    assert oldest is not None
    assert sizes[oldest.document_id] == 3_000_000
    with database.open_write_session() as session:
        assert jobs.claim(session, ACME, worker="one", small_only=True) is None
    assert claimed(database, GLOBEX).document_id == theirs


def test_tenants_come_in_the_order_of_their_smallest_files_and_large_jobs_are_counted(database: Database) -> None:
    large, small = jobs.SMALL_BYTES + 1, jobs.SMALL_BYTES
    for ctx, sizes in ((ACME, (large, 30)), (GLOBEX, (20,))):
        dataset = new_dataset(database, ctx)
        for place, size in enumerate(sizes):
            upload(database, ctx, dataset, f"{size}.md", f"{place:064x}", size_bytes=size)
    with database.open_read_session() as session:
        assert [ctx.tenant_id for ctx in jobs.list_tenants_with_due(session)] == ["globex", "acme"]
    claimed(database, ACME, "pool_1-a")
    claimed(database, ACME, "pool_1-b")
    claimed(database, GLOBEX, "poolx1-a")
    upload(database, GLOBEX, new_dataset(database, GLOBEX, "More"), "scan.pdf", "e" * 64, size_bytes=small)
    scan = claimed(database, GLOBEX, "pool_1-c")
    with database.open_write_session() as session:
        assert jobs.count_large_of(session, "pool_1-") == 1
        assert jobs.count_large_of(session, "poolx1-") == 0
        jobs.advance(session, GLOBEX, scan, JobStage.RECOGNISING)
        assert jobs.list_tenants_with_due(session, small_only=True) == []
    claimed(database, GLOBEX, "pool_1-c")
    with database.open_read_session() as session:
        assert jobs.count_large_of(session, "pool_1-") == 2
    let_lease_run_out(database, ACME)
    let_lease_run_out(database, GLOBEX)
    with database.open_read_session() as session:
        assert jobs.count_large_of(session, "pool_1-") == 0


def test_pages_to_be_recognised_wait_until_other_files_are_read(database: Database) -> None:
    dataset = new_dataset(database, ACME)
    scan = upload(database, ACME, dataset, "scan.pdf", "a" * 64).document.document_id
    held = claimed(database, ACME)
    other = upload(database, ACME, dataset, "other.md", "b" * 64).document.document_id
    with database.open_write_session() as session:
        jobs.advance(session, ACME, held, JobStage.RECOGNISING)
    assert [claimed(database, ACME).document_id for _ in range(2)] == [other, scan]
    assert job_of(database, ACME, scan).attempts == 1
