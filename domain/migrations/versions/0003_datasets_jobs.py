"""Datasets, what belongs to their documents, and the jobs that read these."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "datasets",
        sa.Column("dataset_id", sa.String(36), nullable=False),
        _tenant("datasets"),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("tags", sa.JSON(), nullable=False),
        sa.Column("metadata", sa.JSON(), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("updated_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("dataset_id", name="pk_datasets"),
        sa.UniqueConstraint("tenant_id", "name", name="uq_datasets_tenant_id_name"),
    )
    _extend_documents()
    _create_jobs()


def downgrade() -> None:
    op.drop_table("jobs")
    op.drop_index("ix_documents_dataset_id", "documents")
    for column in ("metadata", "tags", "given_title", "dataset_id"):
        op.drop_column("documents", column)
    op.drop_table("datasets")


def _tenant(table: str) -> sa.Column[str]:
    name = f"fk_{table}_tenant_id_tenants"
    return sa.Column("tenant_id", sa.String(63), sa.ForeignKey("tenants.tenant_id", name=name), nullable=False)


def _extend_documents() -> None:
    # Without a foreign key: for one, SQLite's table would have to be made anew, and the chunks go with the old one.
    op.add_column("documents", sa.Column("dataset_id", sa.String(36), nullable=True))
    op.add_column("documents", sa.Column("given_title", sa.String(500), nullable=True))
    op.add_column("documents", sa.Column("tags", sa.JSON(), server_default=sa.text("'[]'"), nullable=False))
    op.add_column("documents", sa.Column("metadata", sa.JSON(), server_default=sa.text("'{}'"), nullable=False))
    op.create_index("ix_documents_dataset_id", "documents", ["dataset_id"])


def _create_jobs() -> None:
    op.create_table(
        "jobs",
        sa.Column("job_id", sa.String(36), nullable=False),
        _tenant("jobs"),
        sa.Column(
            "document_id",
            sa.String(36),
            sa.ForeignKey("documents.document_id", name="fk_jobs_document_id_documents", ondelete="CASCADE"),
            nullable=False,
        ),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("content_hash", sa.String(64), nullable=False),
        sa.Column("file_name", sa.String(255), nullable=False),
        sa.Column("size_bytes", sa.Integer(), nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("stage", sa.String(16), nullable=False),
        sa.Column("share_done", sa.Double(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("not_before", MOMENT, nullable=False),
        sa.Column("worker", sa.String(64), nullable=True),
        sa.Column("lease_until", MOMENT, nullable=True),
        sa.Column("cancel_requested", sa.Boolean(), nullable=False),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("advice", sa.Text(), nullable=True),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("updated_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("job_id", name="pk_jobs"),
        sa.UniqueConstraint("document_id", name="uq_jobs_document_id"),
    )
    is_open = sa.text("status IN ('pending', 'processing')")
    op.create_index("ix_jobs_open", "jobs", ["tenant_id", "not_before"], sqlite_where=is_open, postgresql_where=is_open)
    op.create_index("ix_jobs_tenant_id_content_hash", "jobs", ["tenant_id", "content_hash"])
