"""Language models of tenants, with every version of how they are reached."""

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "chat_models",
        sa.Column("tenant_id", sa.String(63), nullable=False),
        sa.Column("model_id", sa.String(40), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("updated_at", MOMENT, nullable=False),
        sa.Column("removed_at", MOMENT),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.tenant_id"], name="fk_chat_models_tenant_id_tenants"),
        sa.PrimaryKeyConstraint("tenant_id", "model_id", name="pk_chat_models"),
    )
    op.create_table(
        "chat_model_versions",
        sa.Column("tenant_id", sa.String(63), nullable=False),
        sa.Column("model_id", sa.String(40), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("provider", sa.String(20), nullable=False),
        sa.Column("base_url", sa.String(500), nullable=False),
        sa.Column("model", sa.String(200), nullable=False),
        sa.Column("parameters", sa.JSON(), nullable=False),
        sa.Column("api_key", sa.LargeBinary()),
        sa.Column("api_key_end", sa.String(4), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant_id", "model_id"],
            ["chat_models.tenant_id", "chat_models.model_id"],
            name="fk_chat_model_versions_tenant_id_chat_models",
        ),
        sa.PrimaryKeyConstraint("tenant_id", "model_id", "version", name="pk_chat_model_versions"),
    )


def downgrade() -> None:
    op.drop_table("chat_model_versions")
    op.drop_table("chat_models")
