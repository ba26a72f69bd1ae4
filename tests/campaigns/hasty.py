"""A daemon that lets nobody look first: it is dnsguard with no patience at all, whatever it hears. It shows what the
order of daemons at a zone saves. For that campaign only.

    python -m tests.campaigns.hasty serve --config FILE
"""

import sys

from dnsguard.cli.main import main
from dnsguard.daemon import roster

if __name__ == "__main__":
    roster.PATIENCE_S_MAX = 0.0
    sys.exit(main())
