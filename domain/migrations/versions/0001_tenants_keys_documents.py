"""Tenants, API keys, documents and chunks."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "tenants",
        sa.Column("tenant_id", sa.String(63), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", name="pk_tenants"),
    )
    _create_api_keys()
    _create_documents()
    _create_chunks()


def downgrade() -> None:
    for table in ("chunks", "documents", "api_keys", "tenants"):
        op.drop_table(table)


def _tenant() -> list[sa.schema.SchemaItem]:
    return [sa.Column("tenant_id", sa.String(63), sa.ForeignKey("tenants.tenant_id"), nullable=False)]


def _create_api_keys() -> None:
    op.create_table(
        "api_keys",
        sa.Column("key_id", sa.String(16), nullable=False),
        *_tenant(),
        sa.Column("name", sa.String(80), nullable=False),
        sa.Column("prefix", sa.String(24), nullable=False),
        sa.Column("secret_hash", sa.String(64), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("revoked_at", MOMENT, nullable=True),
        sa.PrimaryKeyConstraint("key_id", name="pk_api_keys"),
    )
    op.create_index("ix_api_keys_tenant_id", "api_keys", ["tenant_id"])


def _create_documents() -> None:
    op.create_table(
        "documents",
        sa.Column("document_id", sa.String(36), nullable=False),
        *_tenant(),
        sa.Column("origin", sa.String(4096), nullable=False),
        sa.Column("source", sa.String(4096), nullable=False),
        sa.Column("title", sa.String(500), nullable=False),
        sa.Column("url", sa.String(2000), nullable=True),
        sa.Column("language", sa.String(8), nullable=False),
        sa.Column("media_type", sa.String(120), nullable=False),
        sa.Column("size_bytes", sa.Integer(), nullable=False),
        sa.Column("content_hash", sa.String(64), nullable=False),
        sa.Column("recipe", sa.String(40), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("chunk_count", sa.Integer(), nullable=False),
        sa.Column("details", sa.JSON(), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("updated_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("document_id", name="pk_documents"),
        sa.UniqueConstraint("tenant_id", "origin", name="uq_documents_tenant_id_origin"),
    )
    op.create_index("ix_documents_tenant_id", "documents", ["tenant_id"])
    unindexed = sa.text("state IN ('pending', 'removed')")
    op.create_index(
        "ix_documents_unindexed",
        "documents",
        ["tenant_id", "created_at"],
        sqlite_where=unindexed,
        postgresql_where=unindexed,
    )


def _create_chunks() -> None:
    op.create_table(
        "chunks",
        sa.Column("chunk_id", sa.String(36), nullable=False),
        *_tenant(),
        sa.Column(
            "document_id", sa.String(36), sa.ForeignKey("documents.document_id", ondelete="CASCADE"), nullable=False
        ),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("page", sa.Integer(), nullable=True),
        sa.Column("heading", sa.Text(), nullable=False),
        sa.Column("start", sa.Integer(), nullable=False),
        sa.Column("end", sa.Integer(), nullable=False),
        sa.Column("language", sa.String(8), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("lexical_done", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("vector_done", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.PrimaryKeyConstraint("chunk_id", name="pk_chunks"),
    )
    op.create_index("ix_chunks_document_id_position", "chunks", ["document_id", "position"], unique=True)
    op.create_index(
        "ix_chunks_without_vector",
        "chunks",
        ["tenant_id", "document_id", "position"],
        sqlite_where=sa.text("vector_done = 0"),
        postgresql_where=sa.text("NOT vector_done"),
    )
