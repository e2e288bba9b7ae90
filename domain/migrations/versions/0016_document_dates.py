"""When the version of a document that is answered from came in."""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

_OF_VERSION = """
UPDATE documents SET version_at = (
    SELECT created_at FROM document_versions
    WHERE document_versions.document_id = documents.document_id AND document_versions.version = documents.version
)
"""


def upgrade() -> None:
    op.add_column("documents", sa.Column("version_at", sa.DateTime(timezone=True)))
    op.execute(_OF_VERSION)


def downgrade() -> None:
    op.drop_column("documents", "version_at")
