"""Documents with ids of their own: nothing that a person typed is an identity any more but an external id.

Until now an uploaded document was recognised by the name of its file. That name becomes its external id, so that who
replaced documents by sending a file of the same name can go on, with `external_id`. Documents that folders and web
sources have brought belong to a dataset, too.
"""

import uuid
from datetime import UTC, datetime

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

_DATASETS = sa.table(
    "datasets",
    *(sa.column(name, sa.String) for name in ("dataset_id", "tenant_id", "name", "role", "description")),
    *(sa.column(name, sa.JSON) for name in ("tags", "metadata")),
    *(sa.column(name, sa.DateTime(timezone=True)) for name in ("created_at", "updated_at")),
)
_ABOUT = "What folders and web sources bring, and imports."


def upgrade() -> None:
    op.add_column("datasets", sa.Column("role", sa.String(20), nullable=True))
    op.create_index("ix_datasets_tenant_id_role", "datasets", ["tenant_id", "role"], unique=True)
    op.add_column("documents", sa.Column("external_id", sa.String(200), nullable=True))
    uploaded = "origin LIKE 'dataset:%' AND state <> 'removed'"
    op.execute(f"UPDATE documents SET external_id = source WHERE {uploaded}")  # noqa: S608 - a text of ours
    op.execute("UPDATE documents SET origin = 'upload:' || document_id WHERE origin LIKE 'dataset:%'")
    op.drop_index("ix_documents_dataset_id", "documents")
    op.create_index("ix_documents_dataset_id_external_id", "documents", ["dataset_id", "external_id"], unique=True)
    op.execute("UPDATE datasets SET role = 'loaded' WHERE name = 'documents'")
    _give_datasets_to_loaded_documents()


def downgrade() -> None:
    default = "(SELECT dataset_id FROM datasets WHERE role = 'default')"
    op.execute(
        f"UPDATE documents SET dataset_id = NULL WHERE dataset_id IN {default} "  # noqa: S608
        "AND NOT EXISTS (SELECT 1 FROM jobs WHERE jobs.document_id = documents.document_id)"
    )
    held = "(SELECT dataset_id FROM documents WHERE dataset_id IS NOT NULL)"
    op.execute(f"DELETE FROM datasets WHERE role = 'default' AND dataset_id NOT IN {held}")  # noqa: S608
    _recognise_by_name()
    op.drop_index("ix_documents_dataset_id_external_id", "documents")
    op.create_index("ix_documents_dataset_id", "documents", ["dataset_id"])
    op.drop_column("documents", "external_id")
    op.drop_index("ix_datasets_tenant_id_role", "datasets")
    op.drop_column("datasets", "role")


def _give_datasets_to_loaded_documents() -> None:
    connection, moment = op.get_bind(), datetime.now(UTC)
    wanting = sa.text("SELECT DISTINCT tenant_id FROM documents WHERE dataset_id IS NULL AND state <> 'removed'")
    for (tenant_id,) in connection.execute(wanting).all():
        made = {"dataset_id": str(uuid.uuid4()), "tenant_id": tenant_id, "role": "default", "description": _ABOUT}
        made |= {"name": _free_name(connection, tenant_id), "created_at": moment, "updated_at": moment}
        connection.execute(sa.insert(_DATASETS).values(**made, tags=[], metadata={}))
        move = "UPDATE documents SET dataset_id = :id WHERE tenant_id = :tenant AND dataset_id IS NULL"
        connection.execute(sa.text(f"{move} AND state <> 'removed'"), {"id": made["dataset_id"], "tenant": tenant_id})


def _free_name(connection: sa.Connection, tenant_id: str) -> str:
    rows = connection.execute(sa.text("SELECT name FROM datasets WHERE tenant_id = :id"), {"id": tenant_id})
    taken, number = {name for (name,) in rows}, 1
    while (name := "default" if number == 1 else f"default {number}") in taken:
        number += 1
    return name


def _recognise_by_name() -> None:
    """The former version knows one document of each name: of several, the oldest."""
    older = (
        "SELECT 1 FROM documents AS other WHERE other.dataset_id = documents.dataset_id "
        "AND other.source = documents.source AND other.origin NOT LIKE 'removed:%' "
        "AND (other.created_at, other.document_id) < (documents.created_at, documents.document_id)"
    )
    op.execute(
        "UPDATE documents SET origin = 'dataset:' || dataset_id || '/' || source "  # noqa: S608
        f"WHERE origin LIKE 'upload:%' AND dataset_id IS NOT NULL AND NOT EXISTS ({older})"
    )
