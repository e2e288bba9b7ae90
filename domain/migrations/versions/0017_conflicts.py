"""What documents say differently of the same thing, and which documents were compared with the others."""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)
UNCOMPARED = "state = 'ready' AND compared_version <> version"


def upgrade() -> None:
    op.add_column("documents", sa.Column("compared_version", sa.Integer(), nullable=False, server_default="0"))
    op.create_index(
        "ix_documents_uncompared",
        "documents",
        ["tenant_id", "created_at"],
        sqlite_where=sa.text(UNCOMPARED),
        postgresql_where=sa.text(UNCOMPARED),
    )
    op.create_table(
        "conflicts",
        sa.Column("conflict_id", sa.String(36), nullable=False),
        sa.Column("tenant_id", sa.String(63), nullable=False),
        sa.Column("one_id", sa.String(36), nullable=False),
        sa.Column("one_version", sa.Integer(), nullable=False),
        sa.Column("one_title", sa.String(500), nullable=False),
        sa.Column("one_sentence", sa.Text(), nullable=False),
        sa.Column("other_id", sa.String(36), nullable=False),
        sa.Column("other_version", sa.Integer(), nullable=False),
        sa.Column("other_title", sa.String(500), nullable=False),
        sa.Column("other_sentence", sa.Text(), nullable=False),
        sa.Column("kind", sa.String(40), nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("found_at", MOMENT, nullable=False),
        sa.Column("dismissed_at", MOMENT),
        sa.Column("gone_at", MOMENT),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.tenant_id"], name="fk_conflicts_tenant_id_tenants"),
        sa.PrimaryKeyConstraint("conflict_id", name="pk_conflicts"),
    )
    op.create_index("ix_conflicts_listed", "conflicts", ["tenant_id", "status", "found_at", "conflict_id"])
    op.create_index("ix_conflicts_one", "conflicts", ["tenant_id", "one_id"])
    op.create_index("ix_conflicts_other", "conflicts", ["tenant_id", "other_id"])


def downgrade() -> None:
    op.drop_table("conflicts")
    op.drop_index("ix_documents_uncompared", "documents")
    op.drop_column("documents", "compared_version")
