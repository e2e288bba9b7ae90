"""Versions of documents, with the files that keep them."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "document_versions",
        sa.Column("document_id", sa.String(36), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("tenant_id", sa.String(63), nullable=False),
        sa.Column("content_hash", sa.String(64), nullable=False),
        sa.Column("text_hash", sa.String(64), nullable=False),
        sa.Column("file_name", sa.String(255), nullable=False),
        sa.Column("title", sa.String(500), nullable=False),
        sa.Column("language", sa.String(8), nullable=False),
        sa.Column("media_type", sa.String(120), nullable=False),
        sa.Column("size_bytes", sa.Integer(), nullable=False),
        sa.Column("pages", sa.Integer(), nullable=True),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("replaced_at", MOMENT, nullable=True),
        sa.Column("deleted_at", MOMENT, nullable=True),
        sa.PrimaryKeyConstraint("document_id", "version", name="pk_document_versions"),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.tenant_id"], name="fk_document_versions_tenant_id_tenants"),
    )
    _create_indexes()


def downgrade() -> None:
    op.drop_table("document_versions")


def _create_indexes() -> None:
    for column in ("content_hash", "text_hash"):
        op.create_index(f"ix_document_versions_tenant_id_{column}", "document_versions", ["tenant_id", column])
    deleted = sa.text("deleted_at IS NOT NULL")
    op.create_index(
        "ix_document_versions_deleted",
        "document_versions",
        ["tenant_id"],
        sqlite_where=deleted,
        postgresql_where=deleted,
    )
