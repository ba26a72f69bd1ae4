"""Plans that take over what they found: published only while the server still holds exactly that."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Go forward; older code takes such a plan for any other, and writes what stands already once more."""
    op.add_column("plans", sa.Column("as_found", sa.Boolean(), nullable=False, server_default=sa.false()))
