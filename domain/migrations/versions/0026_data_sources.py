"""Databases of tenants that questions are put to."""

import sqlalchemy as sa
from alembic import op

revision = "0026"
down_revision = "0025"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "data_sources",
        sa.Column("tenant_id", sa.String(63), nullable=False),
        sa.Column("source_id", sa.String(36), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("type", sa.String(20), nullable=False),
        sa.Column("location", sa.String(500), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("allowed_tables", sa.JSON(), nullable=False),
        sa.Column("uri", sa.LargeBinary(), nullable=False),
        sa.Column("schema_read", sa.LargeBinary()),
        sa.Column("schema_read_at", MOMENT),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("updated_at", MOMENT, nullable=False),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.tenant_id"], name="fk_data_sources_tenant_id_tenants"),
        sa.PrimaryKeyConstraint("tenant_id", "source_id", name="pk_data_sources"),
        sa.UniqueConstraint("tenant_id", "name", name="uq_data_sources_tenant_id_name"),
    )
    op.create_index("ix_data_sources_listed", "data_sources", ["tenant_id", "created_at", "source_id"])


def downgrade() -> None:
    op.drop_table("data_sources")
