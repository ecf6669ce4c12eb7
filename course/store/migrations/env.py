"""How Alembic reaches the database: always through the connection that `Database` opened."""

from alembic import context

from course.store.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,
    compare_type=True,
    # Where the connection came without a transaction; SQLite's comes with one for everything.
    transaction_per_migration=True,
)
with context.begin_transaction():
    context.run_migrations()
