"""The daemons that are at work on a history, and which code may be; and an index that finds one change by itself."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Go forward; a table more is nothing that older code would see, but it would not look into it either."""
    op.create_table(
        "daemons",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("host", sa.Text(), nullable=False),
        sa.Column("pid", sa.Integer(), nullable=False),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("revision", sa.String(length=32), nullable=False),
        sa.Column("address", sa.Text(), nullable=True),
        sa.Column("started_at", sa.Double(), nullable=False),
        sa.Column("seen_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_daemons")),
    )
    compatibility = op.create_table(
        "compatibility",
        sa.Column("oldest", sa.String(length=32), nullable=False),
        sa.PrimaryKeyConstraint("oldest", name=op.f("pk_compatibility")),
    )
    op.bulk_insert(compatibility, [{"oldest": "0002"}])
    # PostgreSQL knows nothing of a new table and takes either index for a foreign key's check; without all columns in
    # this one, twenty thousand changes in one plan cost each of them a look at twenty thousand.
    op.drop_index("ix_changes_generation", table_name="changes")
    op.create_index("ix_changes_generation", "changes", ["zone", "generation", "name", "type"], unique=False)
    if op.get_bind().dialect.name == "sqlite":
        op.execute("INSERT INTO sqlite_stat1 VALUES ('changes', 'ix_changes_generation', '1000000 100000 10 2 1')")
        op.execute("ANALYZE sqlite_schema")
