"""Plans that wait or were withdrawn; what no plan covers any more is 'uncovered'."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

STATES = (
    "state IN ('accepted', 'published', 'superseded', 'rejected', 'faulted', 'waiting', 'withdrawing', 'withdrawn')"
)
SETTLED = "(state IN ('accepted', 'waiting', 'withdrawing')) = (settled_at IS NULL)"
NEVER_EMPTY = (
    "(disposition = 'records' AND ttl IS NOT NULL AND rdatas IS NOT NULL AND length(rdatas) > 0)"
    " OR (disposition IN ('retired', {absence}) AND ttl IS NULL AND rdatas IS NULL)"
)
REBUILT = ("plans", "changes", "rejected", "rrsets")
"""On SQLite, from parents to children: constraints cannot be altered there, so these tables are made anew."""


def upgrade() -> None:
    """Go forward. Older code does not know the new states and words, so it must not open this database."""
    is_sqlite = op.get_bind().dialect.name == "sqlite"
    if is_sqlite:
        rebuild()
    else:
        for table in ("changes", "rejected"):
            op.drop_constraint(op.f(f"ck_{table}_never_empty"), table)
            disposition = sa.column("disposition", sa.Text())
            rows = sa.table(table, disposition)
            op.execute(sa.update(rows).where(disposition == "withdrawn").values(disposition="uncovered"))
            condition = NEVER_EMPTY.format(absence="'uncovered'")
            op.create_check_constraint(op.f(f"ck_{table}_never_empty"), table, condition)
        for name, condition in (("state", STATES), ("settled", SETTLED)):
            op.drop_constraint(op.f(f"ck_plans_{name}"), "plans")
            op.create_check_constraint(op.f(f"ck_plans_{name}"), "plans", condition)
    some = sa.text("reverts IS NOT NULL")
    op.create_index("ix_plans_reverts", "plans", ["zone", "reverts"], sqlite_where=some, postgresql_where=some)
    if is_sqlite:
        op.execute("INSERT INTO sqlite_stat1 VALUES ('plans', 'ix_plans_reverts', '1000 1000 1')")
        op.execute("ANALYZE sqlite_schema")
    op.execute("UPDATE compatibility SET oldest = '0005'")


def rebuild() -> None:
    """Make tables anew with other constraints, from their own definitions.

    Alembic's batch mode would drop a table that others refer to, which foreign keys forbid. So the old tables get
    other names first, and go from children to parents once everything is copied.
    """
    connection = op.get_bind()
    definitions = {table: definition(table) for table in REBUILT}
    indexes = [row.sql for row in schema_of("index") if row.sql is not None and row.tbl_name in REBUILT]
    known = sa.text("SELECT tbl, idx, stat FROM sqlite_stat1 WHERE tbl IN ('plans', 'changes', 'rejected', 'rrsets')")
    statistics = [row._asdict() for row in connection.execute(known)]
    for table in REBUILT:
        op.rename_table(table, f"old_{table}")
    for table, sql in definitions.items():
        op.execute(sql)
        names = [column["name"] for column in sa.inspect(connection).get_columns(table)]
        old = sa.table(f"old_{table}", *(sa.column(name) for name in names))
        read = [
            sa.func.replace(old.c[name], "withdrawn", "uncovered") if name == "disposition" else old.c[name]
            for name in names
        ]
        op.execute(
            sa.insert(sa.table(table, *(sa.column(name) for name in names))).from_select(names, sa.select(*read))
        )
    for table in reversed(REBUILT):
        op.drop_table(f"old_{table}")
    for sql in indexes:
        op.execute(sql)
    if statistics:
        op.bulk_insert(sa.table("sqlite_stat1", sa.column("tbl"), sa.column("idx"), sa.column("stat")), statistics)


def schema_of(kind: str) -> list[Any]:
    """Return SQLite's own definitions of one kind."""
    query = sa.text("SELECT name, tbl_name, sql FROM sqlite_schema WHERE type = :kind")
    return list(op.get_bind().execute(query, {"kind": kind}))


def definition(name: str) -> str:
    """Return the definition of a table with the new constraints in place of the old ones."""
    (sql,) = (str(row.sql) for row in schema_of("table") if row.name == name)
    old_states = "state IN ('accepted', 'published', 'superseded', 'rejected', 'faulted')"
    replaced = {
        old_states: STATES,
        "(state = 'accepted') = (settled_at IS NULL)": SETTLED,
        NEVER_EMPTY.format(absence="'withdrawn'"): NEVER_EMPTY.format(absence="'uncovered'"),
    }
    for before, after in replaced.items():
        sql = sql.replace(before, after)
    return sql
