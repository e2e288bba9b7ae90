"""Web sources and their pages."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "web_sources",
        sa.Column("web_source_id", sa.String(36), nullable=False),
        sa.Column("tenant_id", sa.String(63), nullable=False),
        sa.Column("url", sa.String(2000), nullable=False),
        sa.Column("kind", sa.String(8), nullable=False),
        sa.Column("max_depth", sa.Integer(), nullable=False),
        sa.Column("max_pages", sa.Integer(), nullable=False),
        sa.Column("every_s", sa.Integer(), nullable=True),
        sa.Column("next_at", MOMENT, nullable=True),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("crawl", sa.Integer(), nullable=False),
        sa.Column("holder", sa.String(64), nullable=True),
        sa.Column("held_until", MOMENT, nullable=True),
        sa.Column("cancelled", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("counts", sa.JSON(), nullable=False),
        sa.Column("problems", sa.JSON(), nullable=False),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("started_at", MOMENT, nullable=True),
        sa.Column("finished_at", MOMENT, nullable=True),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("web_source_id", name="pk_web_sources"),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.tenant_id"], name="fk_web_sources_tenant_id_tenants"),
        sa.UniqueConstraint("tenant_id", "url", name="uq_web_sources_tenant_id_url"),
    )
    op.create_index("ix_web_sources_tenant_id", "web_sources", ["tenant_id"])
    op.create_index("ix_web_sources_next_at", "web_sources", ["next_at"])
    _create_web_pages()


def downgrade() -> None:
    op.drop_table("web_pages")
    op.drop_table("web_sources")


def _create_web_pages() -> None:
    op.create_table(
        "web_pages",
        sa.Column("web_source_id", sa.String(36), nullable=False),
        sa.Column("url", sa.String(2000), nullable=False),
        sa.Column("tenant_id", sa.String(63), nullable=False),
        sa.Column("crawl", sa.Integer(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("depth", sa.Integer(), nullable=False),
        sa.Column("hops", sa.Integer(), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("waiting", sa.Boolean(), nullable=False),
        sa.Column("listed", sa.Boolean(), nullable=False),
        sa.Column("taken", sa.Boolean(), nullable=False),
        sa.Column("alias", sa.Boolean(), nullable=False),
        sa.Column("missed", sa.Integer(), nullable=False),
        sa.Column("etag", sa.String(200), nullable=True),
        sa.Column("last_modified", sa.String(200), nullable=True),
        sa.Column("text_hash", sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint("web_source_id", "url", name="pk_web_pages"),
        sa.ForeignKeyConstraint(
            ["web_source_id"],
            ["web_sources.web_source_id"],
            name="fk_web_pages_web_source_id_web_sources",
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.tenant_id"], name="fk_web_pages_tenant_id_tenants"),
    )
    op.create_index("ix_web_pages_tenant_id_url", "web_pages", ["tenant_id", "url"])
