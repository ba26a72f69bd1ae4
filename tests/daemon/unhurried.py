"""A daemon that looks at its zones by itself only once an hour, so that what it does sooner it does on news alone.

python -m tests.daemon.unhurried serve --config FILE
"""

import sys

from dnsguard.cli.main import main
from dnsguard.daemon import desk

if __name__ == "__main__":
    desk._SURVEY_S = 3600.0
    sys.exit(main())
