"""How far name servers follow: on the zone, on each plan, and what each server has served."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

NAME_TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    """Go forward; older code neither sees nor needs what is added, so it may go on working."""
    op.add_column("zones", sa.Column("propagated", sa.BigInteger(), nullable=False, server_default="0"))
    op.add_column("zones", sa.Column("propagated_at", sa.Double(), nullable=True))
    op.add_column("plans", sa.Column("propagated_at", sa.Double(), nullable=True))
    op.create_table(
        "served",
        sa.Column("zone", NAME_TEXT, nullable=False),
        sa.Column("server", NAME_TEXT, nullable=False),
        sa.Column("generation", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["zone"], ["zones.name"], name=op.f("fk_served_zone"), ondelete="RESTRICT"),
        sa.PrimaryKeyConstraint("zone", "server", name=op.f("pk_served")),
        sqlite_with_rowid=False,
    )
