"""Turns of a run whose `Idempotency-Key` was used again after its day stand beside each other."""

from alembic import op

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None

_KEY = "pk_messages"
_DELETE_FORMER = """
    DELETE FROM messages WHERE EXISTS (
        SELECT 1 FROM messages AS later WHERE later.tenant_id = messages.tenant_id AND later.run_id = messages.run_id
        AND later.asked_at > messages.asked_at
    )
"""


def upgrade() -> None:
    _set_key("tenant_id", "run_id", "asked_at")


def downgrade() -> None:
    op.execute(_DELETE_FORMER)
    _set_key("tenant_id", "run_id")


def _set_key(*columns: str) -> None:
    with op.batch_alter_table("messages") as messages:
        messages.drop_constraint(_KEY, type_="primary")
        messages.create_primary_key(_KEY, list(columns))
