"""The pages that are recognised so far, beside the job that goes on with the others."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("jobs", sa.Column("recognised", sa.Text(), nullable=True))


def downgrade() -> None:
    op.drop_column("jobs", "recognised")
