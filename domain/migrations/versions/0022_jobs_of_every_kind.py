"""Jobs about more than documents. The crawls of web sources that are there become jobs when the service runs."""

import sqlalchemy as sa
from alembic import op

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None

_FOREIGN_KEY = "fk_jobs_web_source_id_web_sources"
_INDEX = "ix_jobs_web_source"
_OF_CRAWLS = sa.text("web_source_id IS NOT NULL")
# Those of migration 0015: SQLite makes a table anew to alter a column, and drops what hangs on the former one.
_NOTE_JOB = "UPDATE documents SET job_status = NEW.status WHERE document_id = NEW.document_id;"
_TRIGGERS = {"jobs_note_status_added": "INSERT ON jobs", "jobs_note_status": "UPDATE OF status ON jobs"}


def upgrade() -> None:
    with op.batch_alter_table("jobs") as jobs:
        jobs.alter_column("document_id", existing_type=sa.String(36), nullable=True)
        jobs.add_column(sa.Column("web_source_id", sa.String(36)))
        jobs.add_column(sa.Column("payload", sa.JSON()))
        jobs.create_foreign_key(_FOREIGN_KEY, "web_sources", ["web_source_id"], ["web_source_id"], ondelete="CASCADE")
    op.create_index(
        _INDEX,
        "jobs",
        ["tenant_id", "web_source_id"],
        unique=True,
        sqlite_where=_OF_CRAWLS,
        postgresql_where=_OF_CRAWLS,
    )
    _create_triggers()


def downgrade() -> None:
    op.execute("DELETE FROM jobs WHERE document_id IS NULL")
    op.drop_index(_INDEX, "jobs")
    with op.batch_alter_table("jobs") as jobs:
        jobs.drop_constraint(_FOREIGN_KEY, type_="foreignkey")
        jobs.drop_column("payload")
        jobs.drop_column("web_source_id")
        jobs.alter_column("document_id", existing_type=sa.String(36), nullable=False)
    _create_triggers()


def _create_triggers() -> None:
    if op.get_bind().dialect.name == "sqlite":
        for name, event in _TRIGGERS.items():
            op.execute(f"CREATE TRIGGER {name} AFTER {event} BEGIN {_NOTE_JOB} END")
