"""Scopes, expiry, last use and a former secret of API keys. Keys from before may do everything, as they could."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.add_column("api_keys", sa.Column("former_hash", sa.String(64), nullable=True))
    op.add_column("api_keys", sa.Column("former_until", MOMENT, nullable=True))
    op.add_column("api_keys", sa.Column("scopes", sa.JSON(), server_default=sa.text("'[]'"), nullable=False))
    op.add_column("api_keys", sa.Column("expires_at", MOMENT, nullable=True))
    op.add_column("api_keys", sa.Column("last_used_at", MOMENT, nullable=True))
    op.execute("UPDATE api_keys SET scopes = '[\"all\"]'")


def downgrade() -> None:
    # The version before knows neither scopes nor expiry: a key that has less than all would come to have all.
    op.execute(
        "UPDATE api_keys SET revoked_at = CURRENT_TIMESTAMP WHERE revoked_at IS NULL AND "
        "(CAST(scopes AS TEXT) != '[\"all\"]' OR expires_at IS NOT NULL)"
    )
    for column in ("last_used_at", "expires_at", "scopes", "former_until", "former_hash"):
        op.drop_column("api_keys", column)
