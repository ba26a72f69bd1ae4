"""Owner names written backwards, so that the names below a name are a range of an index."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

NAME_TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
NAMES_AT_ONCE = 10_000


def upgrade() -> None:
    """Go forward; older code would leave the column empty, and the names that it adds would not be found by it."""
    op.add_column("rrsets", sa.Column("name_reversed", NAME_TEXT, nullable=False, server_default=""))
    bind = op.get_bind()
    if bind.dialect.name == "postgresql":
        op.execute("UPDATE rrsets SET name_reversed = reverse(name)")
    else:
        _fill(bind)
    op.create_index("ix_rrsets_name_reversed", "rrsets", ["zone", "name_reversed"], unique=False)
    if bind.dialect.name == "sqlite":
        op.execute("INSERT INTO sqlite_stat1 VALUES ('rrsets', 'ix_rrsets_name_reversed', '1000000 100000 2')")
        op.execute("ANALYZE sqlite_schema")
    op.execute("UPDATE compatibility SET oldest = '0008'")


def _fill(bind: sa.Connection) -> None:
    """Write the names in slices: SQLite has no function that reverses a text."""
    after = ("", "")
    query = sa.text(
        "SELECT DISTINCT zone, name FROM rrsets WHERE (zone, name) > (:zone, :name) ORDER BY zone, name LIMIT :count"
    )
    fill = sa.text("UPDATE rrsets SET name_reversed = :reversed WHERE zone = :zone AND name = :name")
    while some := bind.execute(query, {"zone": after[0], "name": after[1], "count": NAMES_AT_ONCE}).all():
        bind.execute(fill, [{"zone": zone, "name": name, "reversed": name[::-1]} for zone, name in some])
        after = (some[-1].zone, some[-1].name)
