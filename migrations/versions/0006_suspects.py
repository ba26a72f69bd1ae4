"""The RRsets that a plan was probably rejected for."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Go forward; older code does not see the column."""
    op.add_column("plans", sa.Column("suspects", sa.JSON(none_as_null=True)))
