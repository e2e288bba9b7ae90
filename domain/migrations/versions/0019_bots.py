"""Bots of tenants, with every version of how they answer, and keys that are for one bot alone."""

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "bots",
        sa.Column("tenant_id", sa.String(63), nullable=False),
        sa.Column("bot_id", sa.String(40), nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("is_enabled", sa.Boolean(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("updated_at", MOMENT, nullable=False),
        sa.Column("removed_at", MOMENT),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.tenant_id"], name="fk_bots_tenant_id_tenants"),
        sa.PrimaryKeyConstraint("tenant_id", "bot_id", name="pk_bots"),
    )
    op.create_table(
        "bot_versions",
        sa.Column("tenant_id", sa.String(63), nullable=False),
        sa.Column("bot_id", sa.String(40), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("config", sa.JSON(), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant_id", "bot_id"], ["bots.tenant_id", "bots.bot_id"], name="fk_bot_versions_tenant_id_bots"
        ),
        sa.PrimaryKeyConstraint("tenant_id", "bot_id", "version", name="pk_bot_versions"),
    )
    op.add_column("api_keys", sa.Column("bot_id", sa.String(40)))


def downgrade() -> None:
    op.drop_column("api_keys", "bot_id")
    op.drop_table("bot_versions")
    op.drop_table("bots")
