"""How Alembic reaches the database: always through the connection that `Database` opened."""

from alembic import context

from course.store.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,
    compare_type=True,
)
context.run_migrations()
