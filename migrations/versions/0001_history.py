"""The history: zones, plans, changes, what was rejected, and the head of each RRset."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

NAME_TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
NEVER_EMPTY = (
    "(disposition = 'records' AND ttl IS NOT NULL AND rdatas IS NOT NULL AND length(rdatas) > 0)"
    " OR (disposition IN ('retired', 'withdrawn') AND ttl IS NULL AND rdatas IS NULL)"
)
ROWS_PER_KEY = (
    # table, index, rows in it, and how many of them agree in its first column, its first two, and so on
    ("zones", "sqlite_autoindex_zones_1", "100 1"),
    ("plans", "sqlite_autoindex_plans_1", "1000000 100000 1"),
    ("plans", "ix_plans_state", "1000000 100000 10000"),
    ("plans", "uq_plans_idempotency", "1000000 100000 10000 1"),
    ("changes", "changes", "1000000 100000 20 10 1"),
    ("changes", "ix_changes_generation", "1000000 100000 10"),
    ("rejected", "rejected", "1000 1000 10 2 1"),
    ("rrsets", "rrsets", "1000000 100000 2 1"),
)


def upgrade() -> None:
    """Go forward; there is no way back but a restored backup."""
    op.create_table(
        "zones",
        sa.Column("name", NAME_TEXT, nullable=False),
        sa.Column("history", sa.String(length=16), nullable=False),
        sa.Column("newest", sa.BigInteger(), nullable=False),
        sa.Column("published", sa.BigInteger(), nullable=False),
        sa.Column("kept_from", sa.BigInteger(), nullable=False),
        sa.Column("fence", sa.Text(), nullable=True),
        sa.Column("published_at", sa.Double(), nullable=True),
        sa.Column("halted", sa.Text(), nullable=True),
        sa.Column("trusted_fence", sa.Text(), nullable=True),
        sa.CheckConstraint(
            "0 <= kept_from AND kept_from <= published AND published <= newest", name=op.f("ck_zones_order")
        ),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_zones")),
    )
    op.create_table(
        "plans",
        sa.Column("zone", NAME_TEXT, nullable=False),
        sa.Column("generation", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("adopt", sa.Boolean(), nullable=False),
        sa.Column("accepted_at", sa.Double(), nullable=False),
        sa.Column("based_on", sa.BigInteger(), nullable=True),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("chain", sa.String(length=16), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("settled_at", sa.Double(), nullable=True),
        sa.Column("why", sa.Text(), nullable=True),
        sa.Column("rrsets", sa.Integer(), nullable=False),
        sa.Column("reverts", sa.BigInteger(), nullable=True),
        sa.Column("idempotency_key", sa.Text(), nullable=True),
        sa.Column("body_digest", sa.LargeBinary(), nullable=True),
        sa.CheckConstraint("(state = 'accepted') = (settled_at IS NULL)", name=op.f("ck_plans_settled")),
        sa.CheckConstraint(
            "state IN ('accepted', 'published', 'superseded', 'rejected', 'faulted')", name=op.f("ck_plans_state")
        ),
        sa.CheckConstraint("generation > 0", name=op.f("ck_plans_generation")),
        sa.ForeignKeyConstraint(["zone"], ["zones.name"], name=op.f("fk_plans_zone"), ondelete="RESTRICT"),
        sa.PrimaryKeyConstraint("zone", "generation", name=op.f("pk_plans")),
    )
    op.create_index("ix_plans_state", "plans", ["zone", "state"], unique=False)
    op.create_index(
        "uq_plans_idempotency",
        "plans",
        ["zone", "actor", "idempotency_key"],
        unique=True,
        sqlite_where=sa.text("idempotency_key IS NOT NULL"),
        postgresql_where=sa.text("idempotency_key IS NOT NULL"),
    )
    op.create_table(
        "changes",
        sa.Column("zone", NAME_TEXT, nullable=False),
        sa.Column("name", NAME_TEXT, nullable=False),
        sa.Column("type", NAME_TEXT, nullable=False),
        sa.Column("generation", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("disposition", sa.String(length=16), nullable=False),
        sa.Column("ttl", sa.Integer(), nullable=True),
        sa.Column("rdatas", sa.LargeBinary(), nullable=True),
        sa.CheckConstraint(NEVER_EMPTY, name=op.f("ck_changes_never_empty")),
        sa.ForeignKeyConstraint(
            ["zone", "generation"],
            ["plans.zone", "plans.generation"],
            name=op.f("fk_changes_zone_generation"),
            ondelete="RESTRICT",
        ),
        sa.PrimaryKeyConstraint("zone", "name", "type", "generation", name=op.f("pk_changes")),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_changes_generation", "changes", ["zone", "generation"], unique=False)
    op.create_table(
        "rejected",
        sa.Column("zone", NAME_TEXT, nullable=False),
        sa.Column("generation", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("name", NAME_TEXT, nullable=False),
        sa.Column("type", NAME_TEXT, nullable=False),
        sa.Column("disposition", sa.String(length=16), nullable=False),
        sa.Column("ttl", sa.Integer(), nullable=True),
        sa.Column("rdatas", sa.LargeBinary(), nullable=True),
        sa.CheckConstraint(NEVER_EMPTY, name=op.f("ck_rejected_never_empty")),
        sa.ForeignKeyConstraint(
            ["zone", "generation"],
            ["plans.zone", "plans.generation"],
            name=op.f("fk_rejected_zone_generation"),
            ondelete="RESTRICT",
        ),
        sa.PrimaryKeyConstraint("zone", "generation", "name", "type", name=op.f("pk_rejected")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "rrsets",
        sa.Column("zone", NAME_TEXT, nullable=False),
        sa.Column("name", NAME_TEXT, nullable=False),
        sa.Column("type", NAME_TEXT, nullable=False),
        sa.Column("newest", sa.BigInteger(), nullable=False),
        sa.Column("live", sa.BigInteger(), nullable=True),
        sa.Column("held", sa.Boolean(), nullable=False),
        sa.Column("adopt", sa.Boolean(), nullable=False),
        sa.CheckConstraint("live IS NOT NULL OR NOT held", name=op.f("ck_rrsets_held")),
        sa.CheckConstraint("live IS NULL OR live <= newest", name=op.f("ck_rrsets_order")),
        sa.ForeignKeyConstraint(
            ["zone", "name", "type", "live"],
            ["changes.zone", "changes.name", "changes.type", "changes.generation"],
            name=op.f("fk_rrsets_zone_name_type_live"),
            ondelete="RESTRICT",
        ),
        sa.ForeignKeyConstraint(
            ["zone", "name", "type", "newest"],
            ["changes.zone", "changes.name", "changes.type", "changes.generation"],
            name=op.f("fk_rrsets_zone_name_type_newest"),
            ondelete="RESTRICT",
        ),
        sa.PrimaryKeyConstraint("zone", "name", "type", name=op.f("pk_rrsets")),
        sqlite_with_rowid=False,
    )
    if op.get_bind().dialect.name == "sqlite":
        tell_the_planner()


def tell_the_planner() -> None:
    """Tell SQLite that a zone has many rows and a generation few, before it has any to count.

    It guesses otherwise, and reads a whole zone where the index on generations would give a few rows; also where
    it checks foreign keys. ANALYZE replaces these with what it counts (https://sqlite.org/optoverview.html).
    """
    op.execute("ANALYZE")
    op.bulk_insert(
        sa.table("sqlite_stat1", sa.column("tbl"), sa.column("idx"), sa.column("stat")),
        [{"tbl": table, "idx": index, "stat": stat} for table, index, stat in ROWS_PER_KEY],
    )
    op.execute("ANALYZE sqlite_schema")
