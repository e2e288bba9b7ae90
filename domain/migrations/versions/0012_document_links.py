"""What links to documents open, by dataset, and up to when they were revoked."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

_TABLES = ("tenants", "datasets", "documents")


def upgrade() -> None:
    op.add_column("datasets", sa.Column("document_links", sa.String(8), nullable=True))
    for table in _TABLES:
        op.add_column(table, sa.Column("links_generation", sa.Integer(), server_default="0", nullable=False))


def downgrade() -> None:
    for table in _TABLES:
        op.drop_column(table, "links_generation")
    op.drop_column("datasets", "document_links")
