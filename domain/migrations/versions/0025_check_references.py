"""On PostgreSQL the rows that were there before migration 0024 are checked, while others go on writing.

The references by an id alone say nothing more then, and go. SQLite has checked and changed all at once.
"""

from alembic import op

revision = "0025"
down_revision = "0024"
branch_labels = None
depends_on = None

# Child, column, parent.
_REFERENCES = (
    ("chunks", "document_id", "documents"),
    ("jobs", "document_id", "documents"),
    ("jobs", "web_source_id", "web_sources"),
    ("web_pages", "web_source_id", "web_sources"),
)


def upgrade() -> None:
    if _is_sqlite():
        return
    for child, column, parent in (("documents", "dataset_id", "datasets"), *_REFERENCES):
        op.execute(f"ALTER TABLE {child} VALIDATE CONSTRAINT fk_{child}_tenant_id_{column}_{parent}")
    # In the order in which instances lock them: one that writes would else wait for us and we for it.
    op.execute("LOCK TABLE documents, web_sources, chunks, jobs, web_pages IN ACCESS EXCLUSIVE MODE")
    for child, column, parent in _REFERENCES:
        op.drop_constraint(f"fk_{child}_{column}_{parent}", child)


def downgrade() -> None:
    if _is_sqlite():
        return
    for child, column, parent in _REFERENCES:
        op.create_foreign_key(f"fk_{child}_{column}_{parent}", child, parent, [column], [column], ondelete="CASCADE")


def _is_sqlite() -> bool:
    return bool(op.get_bind().dialect.name == "sqlite")
