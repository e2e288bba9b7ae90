"""Uploaded documents and the hands of workers, for tests about jobs."""

from datetime import timedelta

from auth.principal import Principal
from domain import jobs
from domain.datasets import create_dataset
from domain.db import Database
from domain.documents import replace_document
from domain.jobs import ClaimedJob
from domain.models import Job, JobStage, now
from domain.quotas import UNLIMITED, Quotas
from domain.scoping import scoped, scoped_update
from domain.uploads import Accepted, Description, Incoming, accept
from tests.domain.records import content

HASH = "a" * 64


def new_dataset(database: Database, ctx: Principal, name: str = "Handbook") -> str:
    """The id of a dataset."""
    with database.open_write_session() as session:
        return create_dataset(session, ctx, name).dataset_id


def upload(
    database: Database,
    ctx: Principal,
    dataset_id: str,
    name: str = "leave.md",
    content_hash: str = HASH,
    quotas: Quotas = UNLIMITED,
    size_bytes: int = 10,
) -> Accepted:
    """A file taken in; its owner calls the document what the file is called."""
    with database.open_write_session() as session:
        incoming = Incoming(name, content_hash, size_bytes, Description(external_id=name))
        return accept(session, ctx, dataset_id, incoming, quotas)


def claimed(database: Database, ctx: Principal, worker: str = "one") -> ClaimedJob:
    """The job that *worker* gets."""
    with database.open_write_session() as session:
        held = jobs.claim(session, ctx, worker=worker)
    assert held is not None
    return held


def read(database: Database, ctx: Principal, held: ClaimedJob) -> None:
    """What a worker writes that has read the document."""
    with database.open_write_session() as session:
        document = jobs.lock_claimed_document(session, ctx, held)
        replace_document(session, ctx, document.origin, content("said"))
        jobs.advance(session, ctx, held, JobStage.INDEXING)


def tidy(database: Database, ctx: Principal) -> int:
    """What is tidied up."""
    with database.open_write_session() as session:
        return jobs.tidy(session, ctx)


def job_of(database: Database, ctx: Principal, document_id: str) -> Job:
    """The document's job as it is now."""
    with database.open_read_session() as session:
        return session.scalars(scoped(ctx, Job).where(Job.document_id == document_id)).one()


def let_lease_run_out(database: Database, ctx: Principal) -> None:
    """As if the worker had said nothing for too long."""
    with database.open_write_session() as session:
        session.execute(scoped_update(ctx, Job).values(lease_until=now() - timedelta(seconds=1)))


def let_pause_be_over(database: Database, ctx: Principal) -> None:
    """As if the time before the next try had passed."""
    with database.open_write_session() as session:
        session.execute(scoped_update(ctx, Job).values(not_before=now() - timedelta(seconds=1)))
