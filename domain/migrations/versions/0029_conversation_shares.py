"""Links that show a conversation to whoever has them."""

import sqlalchemy as sa
from alembic import op

revision = "0029"
down_revision = "0028"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)
CONVERSATION = ["tenant_id", "owner_id", "conversation_id"]


def upgrade() -> None:
    op.create_table(
        "conversation_shares",
        sa.Column("tenant_id", sa.String(63), nullable=False),
        sa.Column("share_id", sa.String(36), nullable=False),
        sa.Column("owner_id", sa.String(128), nullable=False),
        sa.Column("conversation_id", sa.String(128), nullable=False),
        sa.Column("token_hash", sa.String(64), nullable=False),
        sa.Column("through_sequence", sa.BigInteger(), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("expires_at", MOMENT, nullable=False),
        sa.ForeignKeyConstraint(
            CONVERSATION,
            [f"conversations.{name}" for name in CONVERSATION],
            name="fk_conversation_shares_conversation",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("tenant_id", "share_id", name="pk_conversation_shares"),
        sa.UniqueConstraint("token_hash", name="uq_conversation_shares_token_hash"),
    )
    op.create_index("ix_conversation_shares_listed", "conversation_shares", [*CONVERSATION, "created_at", "share_id"])


def downgrade() -> None:
    op.drop_table("conversation_shares")
