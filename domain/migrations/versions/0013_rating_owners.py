"""Whose conversation a rating is about. All conversations were shared before there were owners."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    owner = sa.Column("owner_id", sa.String(80), server_default="", nullable=False)
    op.add_column("answer_ratings", owner)


def downgrade() -> None:
    # Encrypted words, which are a text instead of a list, open only as those of a rating of this owner.
    op.execute("DELETE FROM answer_ratings WHERE owner_id != '' AND CAST(sources AS TEXT) LIKE '\"%'")
    op.drop_column("answer_ratings", "owner_id")
