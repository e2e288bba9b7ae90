"""Which turn each turn of a conversation follows, and on which branch a link ends."""

import sqlalchemy as sa
from alembic import op

revision = "0030"
down_revision = "0029"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("messages", sa.Column("parent_run_id", sa.String(160)))
    op.add_column("conversation_shares", sa.Column("run_id", sa.String(128)))


def downgrade() -> None:
    op.drop_column("conversation_shares", "run_id")
    op.drop_column("messages", "parent_run_id")
