"""Run the migrations over the connection that `Database.migrate` opened and will commit."""

from alembic import context

from domain.models import Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    render_as_batch=True,  # SQLite alters a table by making it again
)
with context.begin_transaction():
    context.run_migrations()
