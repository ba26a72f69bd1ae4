"""The tables of the history: zones, plans, changes, what was rejected, the head of each RRset; and who works on it.
What the database itself can refuse it does: an RRset without records, a generation twice, and the deletion of a
change that is live or newest. No statement is made here; `migrations/` brings a database to this shape.
"""

import sqlalchemy as sa

metadata = sa.MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

# Names sort by code point, as in Python: SQLite does so by itself, PostgreSQL under the collation "C".
NameText = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")

zones = sa.Table(
    "zones",
    metadata,
    sa.Column("name", NameText, primary_key=True),
    sa.Column("history", sa.String(16), nullable=False),
    sa.Column("newest", sa.BigInteger, nullable=False),
    sa.Column("published", sa.BigInteger, nullable=False),
    sa.Column("kept_from", sa.BigInteger, nullable=False),
    sa.Column("fence", sa.Text),
    sa.Column("published_at", sa.Double),
    sa.Column("halted", sa.Text),
    sa.Column("trusted_fence", sa.Text),
    sa.Column("propagated", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("propagated_at", sa.Double),
    # Moves with each answer that is recorded, so that two transactions cannot both answer the same idempotency key.
    sa.Column("unchanged_answers", sa.BigInteger, nullable=False, server_default="0"),
    sa.CheckConstraint("0 <= kept_from AND kept_from <= published AND published <= newest", name="order"),
)

plans = sa.Table(
    "plans",
    metadata,
    sa.Column("zone", NameText, sa.ForeignKey("zones.name", ondelete="RESTRICT"), primary_key=True),
    sa.Column("generation", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("actor", sa.Text, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("adopt", sa.Boolean, nullable=False),
    sa.Column("as_found", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("accepted_at", sa.Double, nullable=False),
    sa.Column("based_on", sa.BigInteger),
    sa.Column("digest", sa.String(64), nullable=False),
    sa.Column("chain", sa.String(16), nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("settled_at", sa.Double),
    sa.Column("why", sa.Text),
    sa.Column("rrsets", sa.Integer, nullable=False),
    sa.Column("reverts", sa.BigInteger),
    sa.Column("idempotency_key", sa.Text),
    sa.Column("body_digest", sa.LargeBinary),
    sa.Column("propagated_at", sa.Double),
    sa.Column("suspects", sa.JSON(none_as_null=True)),
    sa.CheckConstraint("generation > 0", name="generation"),
    sa.CheckConstraint(
        "state IN ('accepted', 'published', 'superseded', 'rejected', 'faulted',"
        " 'waiting', 'withdrawing', 'withdrawn')",
        name="state",
    ),
    sa.CheckConstraint("(state IN ('accepted', 'waiting', 'withdrawing')) = (settled_at IS NULL)", name="settled"),
)
sa.Index(
    "uq_plans_idempotency",
    plans.c.zone,
    plans.c.actor,
    plans.c.idempotency_key,
    unique=True,
    sqlite_where=plans.c.idempotency_key.is_not(None),
    postgresql_where=plans.c.idempotency_key.is_not(None),
)
sa.Index("ix_plans_state", plans.c.zone, plans.c.state)
sa.Index(
    "ix_plans_reverts",
    plans.c.zone,
    plans.c.reverts,
    sqlite_where=plans.c.reverts.is_not(None),
    postgresql_where=plans.c.reverts.is_not(None),
)

_NEVER_EMPTY = (
    "(disposition = 'records' AND ttl IS NOT NULL AND rdatas IS NOT NULL AND length(rdatas) > 0)"
    " OR (disposition IN ('retired', 'uncovered') AND ttl IS NULL AND rdatas IS NULL)"
)

changes = sa.Table(
    "changes",
    metadata,
    sa.Column("zone", NameText, primary_key=True),
    sa.Column("name", NameText, primary_key=True),
    sa.Column("type", NameText, primary_key=True),
    sa.Column("generation", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("disposition", sa.String(16), nullable=False),
    sa.Column("ttl", sa.Integer),
    sa.Column("rdatas", sa.LargeBinary),
    sa.ForeignKeyConstraint(["zone", "generation"], ["plans.zone", "plans.generation"], ondelete="RESTRICT"),
    sa.CheckConstraint(_NEVER_EMPTY, name="never_empty"),
    sqlite_with_rowid=False,
)
sa.Index("ix_changes_generation", changes.c.zone, changes.c.generation, changes.c.name, changes.c.type)

# What rejected, waiting and withdrawn plans want. It is not in `changes`, so it is part of no state.
rejected = sa.Table(
    "rejected",
    metadata,
    sa.Column("zone", NameText, primary_key=True),
    sa.Column("generation", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("name", NameText, primary_key=True),
    sa.Column("type", NameText, primary_key=True),
    sa.Column("disposition", sa.String(16), nullable=False),
    sa.Column("ttl", sa.Integer),
    sa.Column("rdatas", sa.LargeBinary),
    sa.ForeignKeyConstraint(["zone", "generation"], ["plans.zone", "plans.generation"], ondelete="RESTRICT"),
    sa.CheckConstraint(_NEVER_EMPTY, name="never_empty"),
    sqlite_with_rowid=False,
)

rrsets = sa.Table(
    "rrsets",
    metadata,
    sa.Column("zone", NameText, primary_key=True),
    sa.Column("name", NameText, primary_key=True),
    sa.Column("type", NameText, primary_key=True),
    sa.Column("newest", sa.BigInteger, nullable=False),
    sa.Column("live", sa.BigInteger),
    sa.Column("held", sa.Boolean, nullable=False),
    sa.Column("adopt", sa.Boolean, nullable=False),
    sa.Column("name_reversed", NameText, nullable=False, server_default=""),
    *(
        sa.ForeignKeyConstraint(
            ["zone", "name", "type", head],
            ["changes.zone", "changes.name", "changes.type", "changes.generation"],
            ondelete="RESTRICT",
        )
        for head in ("newest", "live")
    ),
    sa.CheckConstraint("live IS NOT NULL OR NOT held", name="held"),
    sa.CheckConstraint("live IS NULL OR live <= newest", name="order"),
    sqlite_with_rowid=False,
)

# The names below a name are a range of names that are written backwards.
sa.Index("ix_rrsets_name_reversed", rrsets.c.zone, rrsets.c.name_reversed)

# Requests that changed nothing and so became no plan: their idempotency keys must be answered the same way again.
unchanged_answers = sa.Table(
    "unchanged_answers",
    metadata,
    sa.Column("zone", NameText, primary_key=True),
    sa.Column("actor", sa.Text, primary_key=True),
    sa.Column("idempotency_key", sa.Text, primary_key=True),
    sa.Column("generation", sa.BigInteger, nullable=False),
    sa.Column("body_digest", sa.LargeBinary, nullable=False),
    sa.Column("answered_at", sa.Double, nullable=False),
    # Older code prunes plans and does not know this table: the database deletes the answers with their plan.
    sa.ForeignKeyConstraint(["zone", "generation"], ["plans.zone", "plans.generation"], ondelete="CASCADE"),
    sqlite_with_rowid=False,
)
sa.Index("ix_unchanged_answers_generation", unchanged_answers.c.zone, unchanged_answers.c.generation)
sa.Index("ix_unchanged_answers_answered_at", unchanged_answers.c.zone, unchanged_answers.c.answered_at)

# What each name server of a zone has served for certain, so that a restart does not forget it: less is a step back.
served = sa.Table(
    "served",
    metadata,
    sa.Column("zone", NameText, sa.ForeignKey("zones.name", ondelete="RESTRICT"), primary_key=True),
    sa.Column("server", NameText, primary_key=True),
    sa.Column("generation", sa.BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

daemons = sa.Table(
    "daemons",
    metadata,
    sa.Column("id", sa.String(32), primary_key=True),
    sa.Column("host", sa.Text, nullable=False),
    sa.Column("pid", sa.Integer, nullable=False),
    sa.Column("version", sa.Text, nullable=False),
    sa.Column("revision", sa.String(32), nullable=False),
    sa.Column("address", sa.Text),
    sa.Column("started_at", sa.Double, nullable=False),
    sa.Column("seen_at", sa.Double, nullable=False),
)

# One row: the oldest revision whose code may work on these tables. A migration that only adds what older code does not
# see leaves it alone; one that takes away, renames, or demands more of a row writes its own revision into it.
compatibility = sa.Table("compatibility", metadata, sa.Column("oldest", sa.String(32), primary_key=True))
