"""Datasets and the files taken into them belong to one tenant."""

import pytest
from sqlalchemy import text

from domain.bots import change_bot, create_bot
from domain.datasets import (
    DatasetChange,
    change_dataset,
    count_documents,
    create_dataset,
    get_dataset,
    list_datasets,
    remove_dataset,
)
from domain.db import Database
from domain.job_requests import cancel, remove_with_jobs
from domain.models import DocumentState, JobStatus
from domain.paging import Part, Rows
from domain.progress import get_progress, list_progress
from domain.tasks import list_tasks
from tests.domain.records import ACME, GLOBEX
from tests.domain.uploaded import HASH, claimed, job_of, new_dataset, read, upload
from utils.errors import Conflict, NotFound

OTHER = "b" * 64


def test_two_tenants_may_name_a_dataset_alike_and_reach_only_their_own(database: Database) -> None:
    ours, theirs = (new_dataset(database, ctx) for ctx in (ACME, GLOBEX))
    with pytest.raises(Conflict, match="Handbook"):
        new_dataset(database, ACME)
    with database.open_read_session() as session:
        found = list_datasets(session, ACME, Part(10))
        assert ([dataset.dataset_id for dataset in found.rows], found.total) == ([ours], 1)
        with pytest.raises(NotFound):
            get_dataset(session, ACME, theirs)
    with pytest.raises(NotFound), database.open_write_session() as session:
        change_dataset(session, ACME, theirs, DatasetChange(name="Mine"))
    with pytest.raises(NotFound), database.open_write_session() as session:
        remove_dataset(session, ACME, theirs)
    with pytest.raises(NotFound):
        upload(database, ACME, theirs)


def test_what_is_not_changed_of_a_dataset_stays(database: Database) -> None:
    dataset_id = new_dataset(database, ACME)
    with database.open_write_session() as session:
        create_dataset(session, ACME, "Taken")
        change_dataset(session, ACME, dataset_id, DatasetChange(description="All rules", tags=["a"], labels={"k": 1}))
    with database.open_write_session() as session:
        dataset = change_dataset(session, ACME, dataset_id, DatasetChange(tags=[]))
        assert (dataset.name, dataset.description, dataset.tags) == ("Handbook", "All rules", [])
        assert dataset.labels == {"k": 1}
    with pytest.raises(Conflict), database.open_write_session() as session:
        change_dataset(session, ACME, dataset_id, DatasetChange(name="Taken"))


def test_another_file_of_the_same_external_id_is_the_next_version_of_the_document(database: Database) -> None:
    dataset_id = new_dataset(database, ACME)
    first = upload(database, ACME, dataset_id)
    read(database, ACME, claimed(database, ACME))
    second = upload(database, ACME, dataset_id, content_hash=OTHER)
    assert second.document.document_id == first.document.document_id
    assert first.job is not None
    assert second.job is not None
    assert second.job.job_id != first.job.job_id
    assert claimed(database, ACME).content_hash == OTHER


def test_a_file_whose_reading_was_cancelled_is_read_when_it_comes_again(database: Database) -> None:
    dataset_id = new_dataset(database, ACME)
    first = upload(database, ACME, dataset_id)
    with database.open_write_session() as session:
        cancel(session, ACME, first.document.document_id)
    again = upload(database, ACME, dataset_id)
    assert again.unchanged
    assert job_of(database, ACME, first.document.document_id).status == JobStatus.PENDING


def test_a_bot_whose_dataset_is_missing_can_be_changed(database: Database) -> None:
    """As one that was removed by a version that did not look at bots."""
    for ctx in (ACME, GLOBEX):
        dataset_id = new_dataset(database, ctx)
        with database.open_write_session() as session:
            create_bot(session, ctx, "helper", "Helper", {"dataset_ids": [dataset_id]})
            with pytest.raises(Conflict, match=r"\(helper\)"):
                remove_dataset(session, ctx, dataset_id)
            session.delete(get_dataset(session, ctx, dataset_id))
        with database.open_write_session() as session:
            changed = change_bot(session, ctx, "helper", answers={"dataset_ids": [dataset_id], "top_k": 3})
            assert changed.answers["top_k"] == 3
            with pytest.raises(NotFound):
                change_bot(session, ctx, "helper", answers={"dataset_ids": [dataset_id, "other"]})


def test_a_removed_dataset_takes_its_documents_along_and_frees_its_name(database: Database) -> None:
    dataset_id = new_dataset(database, ACME)
    document_id = upload(database, ACME, dataset_id).document.document_id
    read(database, ACME, claimed(database, ACME))
    theirs = upload(database, GLOBEX, new_dataset(database, GLOBEX)).document.document_id
    with database.open_write_session() as session:
        assert remove_dataset(session, ACME, dataset_id) == {HASH}
    new = upload(database, ACME, new_dataset(database, ACME))
    assert new.document.document_id != document_id
    with database.open_read_session() as session:
        with pytest.raises(NotFound):
            get_progress(session, ACME, document_id)
        rest = "SELECT state, dataset_id FROM documents WHERE document_id = :id"
        # The index has to let go of it first.
        assert session.execute(text(rest), {"id": document_id}).all() == [(DocumentState.REMOVED, None)]
        assert get_progress(session, GLOBEX, theirs).status == JobStatus.PENDING


def test_documents_are_listed_by_page_and_status_and_each_tenant_sees_its_own(database: Database) -> None:
    dataset_id = new_dataset(database, ACME)
    ids = [upload(database, ACME, dataset_id, f"{n}.md", f"{n:064x}").document.document_id for n in range(5)]
    claimed(database, ACME)
    with database.open_read_session() as session:
        found = list_progress(session, ACME, dataset_id, Part(2, offset=2))
        assert ([one.document.document_id for one in found.rows], found.total) == (ids[2:4], 5)
        found = list_progress(session, ACME, dataset_id, Part(9), status="processing")
        assert ([one.document.document_id for one in found.rows], found.total) == (ids[:1], 1)
        assert list_progress(session, GLOBEX, dataset_id, Part(9)) == Rows([], 0, None)
        assert count_documents(session, GLOBEX, [dataset_id]) == {}
        assert count_documents(session, ACME, [dataset_id]) == {dataset_id: 5}
        assert list_tasks(session, GLOBEX, statuses=[*JobStatus], limit=9) == []
        assert len(list_tasks(session, ACME, statuses=["pending"], limit=9)) == 4


def test_a_file_of_a_deleted_document_is_a_new_one_also_before_the_index_has_let_go(database: Database) -> None:
    dataset_id = new_dataset(database, ACME)
    first = upload(database, ACME, dataset_id).document.document_id
    read(database, ACME, claimed(database, ACME))
    with database.open_write_session() as session:
        remove_with_jobs(session, ACME, [first])
    second = upload(database, ACME, dataset_id)
    assert not second.unchanged
    assert second.document.document_id != first
    with database.open_read_session() as session:
        found = list_progress(session, ACME, dataset_id, Part(9))
        assert ([one.document.document_id for one in found.rows], found.total) == ([second.document.document_id], 1)
