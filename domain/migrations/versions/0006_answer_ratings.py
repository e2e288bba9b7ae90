"""Ratings of answers."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "answer_ratings",
        sa.Column("tenant_id", sa.String(63), nullable=False),
        sa.Column("run_id", sa.String(128), nullable=False),
        sa.Column("conversation_id", sa.String(128), nullable=False),
        sa.Column("rating", sa.String(8), nullable=False),
        sa.Column("comment", sa.Text(), nullable=False),
        sa.Column("expected", sa.Text(), nullable=False),
        sa.Column("question", sa.Text(), nullable=False),
        sa.Column("stands_alone", sa.Boolean(), nullable=False),
        sa.Column("answer", sa.Text(), nullable=False),
        sa.Column("answered", sa.Boolean(), nullable=False),
        sa.Column("sources", sa.JSON(), nullable=False),
        sa.Column("rated_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "run_id", name="pk_answer_ratings"),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.tenant_id"], name="fk_answer_ratings_tenant_id_tenants"),
    )
    op.create_index("ix_answer_ratings_tenant_id_conversation_id", "answer_ratings", ["tenant_id", "conversation_id"])
    op.create_index("ix_answer_ratings_tenant_id_rated_at", "answer_ratings", ["tenant_id", "rated_at"])


def downgrade() -> None:
    op.drop_table("answer_ratings")
