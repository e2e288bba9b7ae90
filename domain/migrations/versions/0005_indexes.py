"""Several indexes side by side, and orders for the process that has them open."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    _create_tables()
    _drop_partial_indexes()
    # Column by column: where SQLite makes a table anew, all that refers to its rows goes with the old one.
    for name, done in (("words_in", "lexical_done"), ("vectors_in", "vector_done")):
        op.add_column("chunks", _slots(name))
        # What was done is done in the first slot, and the other three are not in use.
        op.execute(sa.update(_chunks(name)).where(sa.column(done, sa.Boolean)).values({name: 15}))
        op.drop_column("chunks", done)
    op.add_column("documents", _slots("words_in"))
    op.execute("UPDATE documents SET words_in = 15 WHERE state IN ('searchable', 'ready')")
    _create_partial_indexes("words_in <> 15 AND state <> 'failed' AND state <> 'stored'", "vectors_in <> 15")


def downgrade() -> None:
    _drop_partial_indexes()
    for done, name in (("lexical_done", "words_in"), ("vector_done", "vectors_in")):
        op.add_column("chunks", sa.Column(done, sa.Boolean(), server_default=sa.false(), nullable=False))
        held = sa.column(name, sa.SmallInteger).bitwise_and(1) == 1
        op.execute(sa.update(_chunks(done)).values({done: held}))
        op.drop_column("chunks", name)
    op.drop_column("documents", "words_in")
    sqlite = op.get_bind().dialect.name == "sqlite"
    _create_partial_indexes("state IN ('pending', 'removed')", "vector_done = 0" if sqlite else "NOT vector_done")
    for table in ("index_orders", "indexes"):
        op.drop_table(table)


def _chunks(column: str) -> sa.TableClause:
    return sa.table("chunks", sa.column(column))


def _slots(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.SmallInteger(), server_default="0", nullable=False)


def _create_tables() -> None:
    op.create_table(
        "indexes",
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("slot", sa.SmallInteger(), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("model", sa.String(200), nullable=False),
        sa.Column("dimension", sa.Integer(), nullable=False),
        sa.Column("base_url", sa.String(2000), nullable=True),
        sa.Column("recipe", sa.String(40), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("made_at", MOMENT, nullable=False),
        sa.Column("served_at", MOMENT, nullable=True),
        sa.Column("left_at", MOMENT, nullable=True),
        sa.PrimaryKeyConstraint("number", name="pk_indexes"),
        sa.UniqueConstraint("slot", name="uq_indexes_slot"),
    )
    op.create_table(
        "index_orders",
        sa.Column("order_id", sa.String(36), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("arguments", sa.JSON(), nullable=False),
        sa.Column("taken_up", sa.Boolean(), nullable=False),
        sa.Column("outcome", sa.JSON(), nullable=True),
        sa.Column("made_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("order_id", name="pk_index_orders"),
    )


def _drop_partial_indexes() -> None:
    op.drop_index("ix_documents_unindexed", "documents")
    op.drop_index("ix_chunks_without_vector", "chunks")


def _create_partial_indexes(documents: str, chunks: str) -> None:
    for name, table, columns, condition in (
        ("ix_documents_unindexed", "documents", ["tenant_id", "created_at"], documents),
        ("ix_chunks_without_vector", "chunks", ["tenant_id", "document_id", "position"], chunks),
    ):
        where = sa.text(condition)
        op.create_index(name, table, columns, sqlite_where=where, postgresql_where=where)
