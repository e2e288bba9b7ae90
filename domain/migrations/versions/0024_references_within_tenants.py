"""What a row refers to is of its own tenant, and the database itself refuses anything else.

PostgreSQL checks the rows that are there in migration 0025, while others go on writing. SQLite takes no reference more
for a table that is there: those with new ones are copied.
"""

import sqlalchemy as sa
from alembic import op

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None

# The order in which instances lock them, too.
_PARENTS = {"datasets": "dataset_id", "documents": "document_id", "web_sources": "web_source_id"}
# Child, parent, whether there was a reference by the id alone.
_REFERENCES = (
    ("documents", "datasets", False),
    ("chunks", "documents", True),
    ("jobs", "documents", True),
    ("jobs", "web_sources", True),
    ("web_pages", "web_sources", True),
)
_COPIED = ("documents", "chunks", "jobs", "web_pages")  # parents first
# Nothing has checked these references before.
_FORGET_LOST_DATASETS = """
UPDATE documents SET dataset_id = NULL WHERE dataset_id IS NOT NULL AND NOT EXISTS (
    SELECT 1 FROM datasets
    WHERE datasets.tenant_id = documents.tenant_id AND datasets.dataset_id = documents.dataset_id
)
"""
_FORMER_INDEX = "ix_documents_tenant_id_document_id"


def upgrade() -> None:
    for table, column in _PARENTS.items():
        op.create_index(f"uq_{table}_tenant_id_{column}", table, ["tenant_id", column], unique=True)
    op.drop_index(_FORMER_INDEX, "documents")
    op.execute(_FORGET_LOST_DATASETS)
    if _is_sqlite():
        _copy_tables(is_upgrade=True)
    else:
        for child, parent, cascades in _REFERENCES:
            column = _PARENTS[parent]
            op.create_foreign_key(
                _name(child, parent),
                child,
                parent,
                ["tenant_id", column],
                ["tenant_id", column],
                ondelete="CASCADE" if cascades else None,
                deferrable=None if cascades else True,
                initially=None if cascades else "DEFERRED",
                postgresql_not_valid=True,
            )
    with op.batch_alter_table("answer_ratings") as ratings:
        ratings.alter_column("owner_id", existing_type=sa.String(80), type_=sa.String(128), existing_nullable=False)


def downgrade() -> None:
    with op.batch_alter_table("answer_ratings") as ratings:
        ratings.alter_column("owner_id", existing_type=sa.String(128), type_=sa.String(80), existing_nullable=False)
    if _is_sqlite():
        _copy_tables(is_upgrade=False)
    else:
        for child, parent, _ in _REFERENCES:
            op.drop_constraint(_name(child, parent), child)
    op.create_index(_FORMER_INDEX, "documents", ["tenant_id", "document_id"])
    for table, column in _PARENTS.items():
        op.drop_index(f"uq_{table}_tenant_id_{column}", table)


def _is_sqlite() -> bool:
    return bool(op.get_bind().dialect.name == "sqlite")


def _name(child: str, parent: str) -> str:
    return f"fk_{child}_tenant_id_{_PARENTS[parent]}_{parent}"


def _copy_tables(*, is_upgrade: bool) -> None:
    """Make the tables anew by the statements that made them, with the other references, and all that hangs on them.

    All former ones are there until the end, so that nothing refers to one that is dropped: its rows would go with it.
    """
    names = ", ".join(f"'{name}'" for name in _COPIED)
    wanted = f"SELECT type, name, tbl_name, sql FROM sqlite_master WHERE sql IS NOT NULL AND tbl_name IN ({names})"  # noqa: S608 - no input
    found = op.get_bind().exec_driver_sql(wanted).all()
    tables = {row.name: row.sql for row in found if row.type == "table"}
    others = [row for row in found if row.type != "table"]
    for row in others:
        op.execute(f"DROP {row.type} {row.name}")
    for table in _COPIED:
        op.execute(f"ALTER TABLE {table} RENAME TO former_{table}")
        op.execute(_change_references(table, tables[table], is_upgrade=is_upgrade))
        op.execute(f"INSERT INTO {table} SELECT * FROM former_{table}")  # noqa: S608 - no input
        for row in others:
            if row.tbl_name == table and row.type == "index":  # before the children, which refer to some of them
                op.execute(row.sql)
    for table in reversed(_COPIED):
        op.execute(f"DROP TABLE former_{table}")
    for row in others:
        if row.type == "trigger":
            op.execute(row.sql)


def _change_references(table: str, sql: str, *, is_upgrade: bool) -> str:
    for child, parent, was_there in _REFERENCES:
        if child == table:
            former, new = _write_references(child, parent, was_there=was_there)
            before, after = (former, new) if is_upgrade else (new, former)
            if sql.count(before) != 1:
                raise RuntimeError(f"The table {table} is not as the migrations before have made it.")
            sql = sql.replace(before, after)
    return sql


def _write_references(child: str, parent: str, *, was_there: bool) -> tuple[str, str]:
    """In SQLite's words: what stands there before and after this migration."""
    column = _PARENTS[parent]
    new = (
        f"CONSTRAINT {_name(child, parent)} FOREIGN KEY(tenant_id, {column}) REFERENCES {parent} (tenant_id, {column})"
    )
    if was_there:
        return f"CONSTRAINT fk_{child}_{column}_{parent} FOREIGN KEY({column}) REFERENCES {parent} ({column})", new
    beside = f"CONSTRAINT fk_{child}_tenant_id_tenants FOREIGN KEY(tenant_id) REFERENCES tenants (tenant_id)"
    return beside, f"{beside}, \n\t{new} DEFERRABLE INITIALLY DEFERRED"
