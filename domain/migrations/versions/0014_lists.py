"""The status of each document beside it, and indexes by which every list is read in its order and counted."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

# How readers are told that a document is: as its job, or for one without a job as the index has it.
_STATUS = (
    "CASE WHEN {0}state = 'removed' THEN 'removed' WHEN {0}job_status IS NOT NULL THEN {0}job_status "
    "WHEN {0}state = 'stored' THEN 'pending' WHEN {0}state IN ('pending', 'searchable') THEN 'processing' "
    "WHEN {0}state = 'ready' THEN 'completed' ELSE 'failed' END"
)
_NOTE_JOB = "UPDATE documents SET job_status = NEW.status WHERE document_id = NEW.document_id;"
_NOTE_STATE = f"UPDATE documents SET status = {_STATUS.format('NEW.')} WHERE document_id = NEW.document_id;"  # noqa: S608
_PRESENT = sa.text("state <> 'removed'")
# With the state, which SQLite looks at once more: else it would read each row to count them.
_LISTS = {
    "ix_documents_listed": ["tenant_id", "created_at", "document_id", "state"],
    "ix_documents_listed_in_dataset": ["tenant_id", "dataset_id", "created_at", "document_id", "state"],
}
_BY_STATUS = {
    "ix_documents_by_status": ["tenant_id", "status", "created_at", "document_id"],
    "ix_documents_by_status_in_dataset": ["tenant_id", "dataset_id", "status", "created_at", "document_id"],
}
_RATINGS = {
    "ix_answer_ratings_listed": ["tenant_id", "rated_at", "run_id"],
    "ix_answer_ratings_by_rating": ["tenant_id", "rating", "rated_at", "run_id"],
    "ix_answer_ratings_of_owner": ["tenant_id", "owner_id", "rated_at", "run_id"],
    "ix_answer_ratings_of_owner_by_rating": ["tenant_id", "owner_id", "rating", "rated_at", "run_id"],
}


def upgrade() -> None:
    for name in ("job_status", "status"):
        op.add_column("documents", sa.Column(name, sa.String(16), nullable=True))
    job = "SELECT jobs.status FROM jobs WHERE jobs.document_id = documents.document_id"
    op.execute(f"UPDATE documents SET job_status = ({job})")  # noqa: S608 - a text of ours
    op.execute(f"UPDATE documents SET status = {_STATUS.format('')}")  # noqa: S608 - the same
    _follow()
    for name, columns in _LISTS.items():
        op.create_index(name, "documents", columns, sqlite_where=_PRESENT, postgresql_where=_PRESENT)
    for name, columns in _BY_STATUS.items():
        op.create_index(name, "documents", columns)
    # SQLite, which knows nothing of how many rows there are, would look for several ids among all of the tenant's.
    for table in ("documents", "jobs"):
        op.create_index(f"ix_{table}_tenant_id_document_id", table, ["tenant_id", "document_id"])
    # Others begin as these do.
    op.drop_index("ix_documents_kept", "documents")
    op.drop_index("ix_documents_tenant_id", "documents")
    op.create_index("ix_datasets_listed", "datasets", ["tenant_id", "created_at", "dataset_id"])
    op.drop_index("ix_answer_ratings_tenant_id_rated_at", "answer_ratings")
    for name, columns in _RATINGS.items():
        op.create_index(name, "answer_ratings", columns)
    op.create_index(
        "ix_web_pages_waiting",
        "web_pages",
        ["tenant_id", "web_source_id", "waiting"],
        sqlite_where=sa.text("waiting = 1"),
        postgresql_where=sa.text("waiting"),
    )


def downgrade() -> None:
    op.drop_index("ix_web_pages_waiting", "web_pages")
    for name in _RATINGS:
        op.drop_index(name, "answer_ratings")
    op.create_index("ix_answer_ratings_tenant_id_rated_at", "answer_ratings", ["tenant_id", "rated_at"])
    op.drop_index("ix_datasets_listed", "datasets")
    for name in (*_LISTS, *_BY_STATUS):
        op.drop_index(name, "documents")
    for table in ("documents", "jobs"):
        op.drop_index(f"ix_{table}_tenant_id_document_id", table)
    op.create_index("ix_documents_tenant_id", "documents", ["tenant_id"])
    op.create_index("ix_documents_kept", "documents", ["tenant_id"], sqlite_where=_PRESENT, postgresql_where=_PRESENT)
    _unfollow()
    op.drop_column("documents", "status")
    op.drop_column("documents", "job_status")


def _follow() -> None:
    """Triggers, so that no writer of jobs or of documents can forget it."""
    if op.get_bind().dialect.name == "postgresql":
        made = "CREATE FUNCTION {} RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {} END $$"
        op.execute(made.format("note_job_status()", f"{_NOTE_JOB} RETURN NULL;"))
        op.execute(made.format("note_status()", f"NEW.status := {_STATUS.format('NEW.')}; RETURN NEW;"))
        op.execute(
            "CREATE TRIGGER jobs_note_status AFTER INSERT OR UPDATE OF status ON jobs "
            "FOR EACH ROW EXECUTE FUNCTION note_job_status()"
        )
        op.execute(
            "CREATE TRIGGER documents_note_status BEFORE INSERT OR UPDATE OF state, job_status ON documents "
            "FOR EACH ROW EXECUTE FUNCTION note_status()"
        )
        return
    for name, event, work in _SQLITE_TRIGGERS:
        op.execute(f"CREATE TRIGGER {name} AFTER {event} BEGIN {work} END")


_SQLITE_TRIGGERS = (
    ("jobs_note_status_added", "INSERT ON jobs", _NOTE_JOB),
    ("jobs_note_status", "UPDATE OF status ON jobs", _NOTE_JOB),
    ("documents_note_status_added", "INSERT ON documents", _NOTE_STATE),
    ("documents_note_status", "UPDATE OF state, job_status ON documents", _NOTE_STATE),
)


def _unfollow() -> None:
    if op.get_bind().dialect.name == "postgresql":
        op.execute("DROP TRIGGER documents_note_status ON documents")
        op.execute("DROP TRIGGER jobs_note_status ON jobs")
        op.execute("DROP FUNCTION note_status()")
        op.execute("DROP FUNCTION note_job_status()")
        return
    for name, _, _ in _SQLITE_TRIGGERS:
        op.execute(f"DROP TRIGGER {name}")
