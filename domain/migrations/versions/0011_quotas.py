"""Pages that were read a day, and indexes for what is counted before a file is taken in."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "pages_read",
        sa.Column("tenant_id", sa.String(63), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("pages", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.tenant_id"], name="fk_pages_read_tenant_id_tenants"),
        sa.PrimaryKeyConstraint("tenant_id", "day", name="pk_pages_read"),
    )
    present, kept = sa.text("state <> 'removed'"), sa.text("deleted_at IS NULL")
    op.create_index("ix_documents_kept", "documents", ["tenant_id"], sqlite_where=present, postgresql_where=present)
    op.create_index(
        "ix_document_versions_kept",
        "document_versions",
        ["tenant_id", "size_bytes"],
        sqlite_where=kept,
        postgresql_where=kept,
    )


def downgrade() -> None:
    op.drop_index("ix_document_versions_kept", "document_versions")
    op.drop_index("ix_documents_kept", "documents")
    op.drop_table("pages_read")
