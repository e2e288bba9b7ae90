"""What tells that something is not in a tenant's documents, estimated once for all processes."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "calibrations",
        sa.Column("tenant_id", sa.String(63), nullable=False),
        sa.Column("index_number", sa.Integer(), nullable=False),
        sa.Column("model", sa.String(200), nullable=False),
        sa.Column("calibration", sa.JSON(), nullable=True),
        sa.Column("passages", sa.Integer(), nullable=False),
        sa.Column("estimated_at", MOMENT, nullable=True),
        sa.Column("lease_until", MOMENT, nullable=True),
        sa.PrimaryKeyConstraint("tenant_id", "index_number", "model", name="pk_calibrations"),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.tenant_id"], name="fk_calibrations_tenant_id_tenants"),
        sa.ForeignKeyConstraint(
            ["index_number"], ["indexes.number"], name="fk_calibrations_index_number_indexes", ondelete="CASCADE"
        ),
    )
    op.create_index("ix_calibrations_index_number_estimated_at", "calibrations", ["index_number", "estimated_at"])


def downgrade() -> None:
    op.drop_table("calibrations")
