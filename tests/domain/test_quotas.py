"""Quotas of tenants, on either database: what counts, what is refused, and many who come at once."""

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest

from auth.principal import Principal
from domain.db import Database
from domain.document_files import DocumentFiles
from domain.documents import replace_document
from domain.job_requests import begin_again, cancel, remove_with_jobs
from domain.quotas import UNLIMITED, Quotas, Usage, add_pages, count_pages, get_usage
from providers.files.folder import FolderFileStore
from tests.domain.records import ACME, GLOBEX, content
from tests.domain.uploaded import claimed, new_dataset, read, upload
from utils.errors import QuotaExceeded

AT_ONCE, MOST = 12, 5


def usage(database: Database, ctx: Principal) -> Usage:
    with database.open_read_session() as session:
        return get_usage(session, ctx)


def upload_all_at_once(database: Database, ctx: Principal, quotas: Quotas) -> list[QuotaExceeded]:
    """The refusals, when many files come in the same moment."""
    dataset, start = new_dataset(database, ctx), threading.Barrier(AT_ONCE)

    def send(number: int) -> QuotaExceeded | None:
        start.wait(10)
        try:
            upload(database, ctx, dataset, f"{number}.md", f"{number:064x}", quotas)
        except QuotaExceeded as exc:
            return exc
        return None

    with ThreadPoolExecutor(AT_ONCE) as pool:
        return [refusal for refusal in pool.map(send, range(AT_ONCE)) if refusal]


@pytest.mark.parametrize(
    ("name", "limits"),
    [
        ("documents", {"documents": MOST}),
        ("bytes", {"size_bytes": MOST * 10 + 9}),  # each has ten
        ("queued_jobs", {"queued_jobs": MOST}),
    ],
)
def test_many_files_at_once_never_exceed_a_quota(database: Database, name: str, limits: dict[str, Any]) -> None:
    quotas = replace(UNLIMITED, **limits)
    refused = upload_all_at_once(database, ACME, quotas)
    assert len(refused) == AT_ONCE - MOST
    assert usage(database, ACME) == Usage(documents=MOST, size_bytes=MOST * 10, pages_today=0, queued_jobs=MOST)
    assert {refusal.members["quota"]["name"] for refusal in refused} == {name}  # type: ignore[index]
    assert all(f"{refusal.members['quota']['limit']:,}" in refusal.detail for refusal in refused)  # type: ignore[index]
    assert usage(database, GLOBEX) == Usage(0, 0, 0, 0)
    upload(database, GLOBEX, new_dataset(database, GLOBEX), quotas=quotas)


def test_what_is_deleted_makes_room(database: Database, tmp_path: Any) -> None:
    document_files, quotas = (
        DocumentFiles(database, FolderFileStore(tmp_path)),
        replace(UNLIMITED, documents=1, size_bytes=15),
    )
    dataset = new_dataset(database, ACME)
    first = upload(database, ACME, dataset, quotas=quotas).document.document_id
    read(database, ACME, claimed(database, ACME))
    assert (usage(database, ACME).documents, usage(database, ACME).queued_jobs) == (1, 1)
    with pytest.raises(QuotaExceeded):
        upload(database, ACME, dataset, "other.md", "b" * 64, quotas)
    with database.open_write_session() as session:
        remove_with_jobs(session, ACME, [first])
    document_files.delete_expired(ACME)
    assert usage(database, ACME) == Usage(0, 0, 0, 0)
    upload(database, ACME, dataset, "other.md", "b" * 64, quotas)


def test_a_next_version_counts_beside_the_former_one_and_no_document_more(database: Database) -> None:
    dataset, quotas = new_dataset(database, ACME), replace(UNLIMITED, documents=1, size_bytes=25)
    upload(database, ACME, dataset, quotas=quotas)
    read(database, ACME, claimed(database, ACME))  # it says "said", in four bytes
    upload(database, ACME, dataset, content_hash="b" * 64, quotas=quotas)
    assert (usage(database, ACME).documents, usage(database, ACME).size_bytes) == (1, 14)
    with pytest.raises(QuotaExceeded):
        upload(database, ACME, dataset, content_hash="c" * 64, quotas=replace(quotas, size_bytes=20))


def test_what_is_there_already_takes_no_room(database: Database) -> None:
    dataset = new_dataset(database, ACME)
    quotas = Quotas(documents=1, size_bytes=10, pages_per_day=1, queued_jobs=1)
    first = upload(database, ACME, dataset, quotas=quotas)
    again = upload(database, ACME, dataset, quotas=quotas)
    assert (again.unchanged, again.document.document_id) == (True, first.document.document_id)


def test_a_document_that_is_read_again_waits_in_the_queue_like_any_other(database: Database) -> None:
    dataset, quotas = new_dataset(database, ACME), replace(UNLIMITED, queued_jobs=1)
    first = upload(database, ACME, dataset).document.document_id
    with database.open_write_session() as session:
        begin_again(session, ACME, first, quotas)  # in the place of its former job
        cancel(session, ACME, first)
    upload(database, ACME, dataset, "other.md", "b" * 64, quotas)
    with pytest.raises(QuotaExceeded, match="1 jobs in the queue"), database.open_write_session() as session:
        begin_again(session, ACME, first, quotas)


def test_pages_are_counted_by_day_and_by_tenant(database: Database) -> None:
    quotas, dataset = replace(UNLIMITED, pages_per_day=10), new_dataset(database, ACME)
    with database.open_write_session() as session:
        count_pages(session, ACME, replace(content("text"), pages=7))
        count_pages(session, ACME, replace(content("text"), details={"characters": 6_001}))
        count_pages(session, GLOBEX, content("text"))
    assert (usage(database, ACME).pages_today, usage(database, GLOBEX).pages_today) == (10, 1)
    with pytest.raises(QuotaExceeded, match="10 pages read a day") as refused:
        upload(database, ACME, dataset, quotas=quotas)
    assert 0 < int(refused.value.headers["Retry-After"]) <= 86_400
    upload(database, GLOBEX, new_dataset(database, GLOBEX), quotas=quotas)


def test_pages_read_by_many_at_once_are_all_counted(database: Database) -> None:
    start = threading.Barrier(AT_ONCE)

    def count(_: int) -> None:
        start.wait(10)
        with database.open_write_session() as session:
            add_pages(session, ACME, 3)

    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(count, range(AT_ONCE)))
    assert usage(database, ACME).pages_today == 3 * AT_ONCE


def test_documents_of_folders_count_too(database: Database) -> None:
    with database.open_write_session() as session:
        replace_document(session, ACME, "/srv/leave.md", content("twelve days"))
    assert (usage(database, ACME).documents, usage(database, ACME).size_bytes) == (1, 11)
