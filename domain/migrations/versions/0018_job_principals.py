"""Who asked for a job, so that it can be asked again whether they still may."""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("jobs", sa.Column("subject_id", sa.String(80)))
    op.add_column("jobs", sa.Column("subject_kind", sa.String(16)))


def downgrade() -> None:
    op.drop_column("jobs", "subject_kind")
    op.drop_column("jobs", "subject_id")
