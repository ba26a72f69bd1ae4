"""Answers to requests that changed nothing, so that an idempotency key is answered the same way again."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

NAME_TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    """Go forward; older code may go on working, and makes a plan of a request that changes nothing."""
    op.add_column("zones", sa.Column("unchanged_answers", sa.BigInteger(), nullable=False, server_default="0"))
    op.create_table(
        "unchanged_answers",
        sa.Column("zone", NAME_TEXT, nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("idempotency_key", sa.Text(), nullable=False),
        sa.Column("generation", sa.BigInteger(), nullable=False),
        sa.Column("body_digest", sa.LargeBinary(), nullable=False),
        sa.Column("answered_at", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(
            ["zone", "generation"],
            ["plans.zone", "plans.generation"],
            name=op.f("fk_unchanged_answers_zone_generation"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("zone", "actor", "idempotency_key", name=op.f("pk_unchanged_answers")),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_unchanged_answers_generation", "unchanged_answers", ["zone", "generation"])
    op.create_index("ix_unchanged_answers_answered_at", "unchanged_answers", ["zone", "answered_at"])
