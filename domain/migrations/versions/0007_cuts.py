"""Documents cut in several ways side by side, each for the indexes that are made of it."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

FIRST_CUT = "1/220/400/80/16"
_POSITION, _CUT_POSITION = "ix_chunks_document_id_position", "ix_chunks_document_id_cut_position"


def upgrade() -> None:
    for table in ("chunks", "indexes"):
        op.add_column(table, sa.Column("cut", sa.String(40), server_default=FIRST_CUT, nullable=False))
    op.drop_index(_POSITION, "chunks")
    op.create_index(_CUT_POSITION, "chunks", ["document_id", "cut", "position"], unique=True)
    # The rest of it was the cut; the number alone says how a file was read.
    op.execute("UPDATE documents SET recipe = substr(recipe, 1, 1) WHERE recipe LIKE '_/220/400/80/16'")


def downgrade() -> None:
    op.execute("UPDATE documents SET recipe = recipe || '/220/400/80/16' WHERE recipe LIKE '_'")
    # One index is left, the one that serves, and of each document one cut: that of this index where there is it.
    op.execute("DELETE FROM indexes WHERE state <> 'serving'")
    for table, column in (("documents", "words_in"), ("chunks", "words_in"), ("chunks", "vectors_in")):
        others = "15 - (SELECT slot FROM indexes)"
        op.execute(f"UPDATE {table} SET {column} = {column} | ({others}) WHERE EXISTS (SELECT 1 FROM indexes)")  # noqa: S608
    op.execute("DELETE FROM documents WHERE state = 'removed' AND words_in = 15")
    of_document = "FROM chunks AS other WHERE other.document_id = chunks.document_id"
    op.execute(
        "DELETE FROM chunks WHERE cut <> (SELECT cut FROM indexes) "  # noqa: S608
        f"AND EXISTS (SELECT 1 {of_document} AND other.cut = (SELECT cut FROM indexes))"
    )
    op.execute(f"DELETE FROM chunks WHERE cut <> (SELECT min(other.cut) {of_document})")  # noqa: S608
    # The former version knows one cut: files that are cut in another are read again.
    op.execute(
        "UPDATE documents SET recipe = '' WHERE EXISTS (SELECT 1 FROM chunks "  # noqa: S608
        f"WHERE chunks.document_id = documents.document_id AND chunks.cut <> '{FIRST_CUT}')"
    )
    op.drop_index(_CUT_POSITION, "chunks")
    op.create_index(_POSITION, "chunks", ["document_id", "position"], unique=True)
    for table in ("indexes", "chunks"):
        op.drop_column(table, "cut")
