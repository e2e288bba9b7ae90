"""The transcript: conversations with their turns, kept beyond their state in Redis."""

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)
KEY = ("tenant_id", "owner_id", "conversation_id")


def upgrade() -> None:
    op.add_column("tenants", sa.Column("transcript_retention_days", sa.Double()))
    op.create_table(
        "conversations",
        sa.Column("tenant_id", sa.String(63), nullable=False),
        sa.Column("owner_id", sa.String(128), nullable=False),
        sa.Column("conversation_id", sa.String(128), nullable=False),
        sa.Column("subject_id", sa.String(80), nullable=False),
        sa.Column("bot_id", sa.String(40), nullable=False),
        sa.Column("channel", sa.String(16), nullable=False),
        sa.Column("language", sa.String(8), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("sealed_title", sa.Text()),
        sa.Column("is_title_given", sa.Boolean(), nullable=False),
        sa.Column("turn_count", sa.Integer(), nullable=False),
        sa.Column("message_count", sa.Integer(), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("updated_at", MOMENT, nullable=False),
        sa.Column("used_at", MOMENT, nullable=False),
        sa.Column("deleted_at", MOMENT),
        sa.Column("erased_through", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.tenant_id"], name="fk_conversations_tenant_id_tenants"),
        sa.PrimaryKeyConstraint(*KEY, name="pk_conversations"),
    )
    for name, columns, condition in (
        ("ix_conversations_listed", ("tenant_id", "owner_id", "updated_at", "conversation_id"), "deleted_at IS NULL"),
        ("ix_conversations_used", ("tenant_id", "used_at"), None),
        ("ix_conversations_erasable", ("tenant_id", "deleted_at"), "deleted_at IS NOT NULL AND turn_count > 0"),
    ):
        where = None if condition is None else sa.text(condition)
        op.create_index(name, "conversations", list(columns), sqlite_where=where, postgresql_where=where)
    op.create_table(
        "messages",
        sa.Column("tenant_id", sa.String(63), nullable=False),
        sa.Column("run_id", sa.String(128), nullable=False),
        sa.Column("owner_id", sa.String(128), nullable=False),
        sa.Column("conversation_id", sa.String(128), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("bot_version", sa.Integer(), nullable=False),
        sa.Column("language", sa.String(8), nullable=False),
        sa.Column("question", sa.Text(), nullable=False),
        sa.Column("answer", sa.Text()),
        sa.Column("citations", sa.JSON(), nullable=False),
        sa.Column("support", sa.JSON()),
        sa.Column("details", sa.JSON(), nullable=False),
        sa.Column("tool_calls", sa.JSON(), nullable=False),
        sa.Column("sealed", sa.Text()),
        sa.Column("is_refusal", sa.Boolean(), nullable=False),
        sa.Column("model", sa.String(200), nullable=False),
        sa.Column("tokens", sa.Integer()),
        sa.Column("cost", sa.Double()),
        sa.Column("asked_at", MOMENT, nullable=False),
        sa.Column("ended_at", MOMENT, nullable=False),
        sa.ForeignKeyConstraint(
            list(KEY),
            [f"conversations.{name}" for name in KEY],
            name="fk_messages_conversation",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("tenant_id", "run_id", name="pk_messages"),
    )
    op.create_index("ix_messages_in_order", "messages", [*KEY, "sequence", "run_id"])


def downgrade() -> None:
    op.drop_table("messages")
    op.drop_table("conversations")
    op.drop_column("tenants", "transcript_retention_days")
