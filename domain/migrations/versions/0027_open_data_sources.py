"""Whether a data source answers also those who may only chat."""

import sqlalchemy as sa
from alembic import op

revision = "0027"
down_revision = "0026"
branch_labels = None
depends_on = None


def upgrade() -> None:
    is_open: sa.Column[bool] = sa.Column("open_to_visitors", sa.Boolean(), nullable=False, server_default=sa.false())
    op.add_column("data_sources", is_open)


def downgrade() -> None:
    op.drop_column("data_sources", "open_to_visitors")
