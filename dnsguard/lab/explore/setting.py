"""What a scenario is made of, as values: how many daemons, plans and endpoints, and under which rules.
Nothing here runs anything.
"""

from dataclasses import dataclass, field

from dnsguard.core.guards import GUARDED, Guards
from dnsguard.core.layout import LAYOUTS
from dnsguard.core.plan import Wanted
from dnsguard.core.policy import Policy
from dnsguard.core.records import Key, Records
from dnsguard.lab.search.strategies import Prefer

ZONE = "example.test."
HISTORY = "0123456789abcdef"
ENDPOINTS = ("regional", "fips", "ipv6", "account")
PLANNER = "P"

TTL_S = 60
LOOKS = 2
"""The moves with which a plan is accepted, and those with which an enactor takes one up."""


@dataclass(frozen=True, slots=True)
class Setting:
    """What a scenario is made of. Unless the endpoints are fresh, plan 1 is published before it begins."""

    guards: Guards = GUARDED
    enactors: int = 2
    plans: int = 4
    endpoints: int = 1
    keep: int = 2
    layout: str = "versioned"
    message_rrsets_max: int = 1
    cleanup: bool = True
    store: str = "memory"
    read_back: bool = True
    fresh: bool = False
    """Whether the endpoints are new: no plan is published, or even made, before the scenario begins."""
    database: str = field(default="", repr=False, compare=False)
    """Where a store is that needs to be told: a URL, which can hold a password."""

    @property
    def policy(self) -> Policy:
        """The zone's policy."""
        return Policy(
            history_generations_min=self.keep,
            message_rrsets_max=self.message_rrsets_max,
            layout=self.layout,
            read_back=self.read_back,
        )

    @property
    def owners(self) -> tuple[str, ...]:
        """The endpoints' owner names."""
        return tuple(f"{label}.{ZONE}" for label in ENDPOINTS[: self.endpoints])

    @property
    def enactor_names(self) -> tuple[str, ...]:
        """The daemons' names as actors; they are alike."""
        return tuple(f"E{number}" for number in range(self.enactors))

    @property
    def keys(self) -> tuple[Key, ...]:
        """The endpoints' RRsets."""
        return tuple(Key(owner, "A") for owner in self.owners)

    def contents(self, number: int) -> Records:
        """Return what a plan wants at each endpoint: of each plan, another address."""
        return Records(TTL_S, (bytes((192, 0, 2, number)),))

    def wanted(self, number: int) -> dict[Key, Wanted]:
        """Return what a plan wants."""
        return dict.fromkeys(self.keys, self.contents(number))


def as_in_october(setting: Setting) -> Prefer:
    """Return the order of October: the first enactor looks at plan 2 as soon as it is there, and is slow then.

    The others publish what is newest meanwhile; it goes on, to its last endpoint, before they clean up.
    """
    messages = -(-setting.endpoints // setting.message_rrsets_max)
    layout = LAYOUTS[setting.layout]
    written = LOOKS + messages * (3 if layout.whole_names else 1)
    recorded = written + (messages * len(layout.stages) if setting.read_back else 0)

    first = setting.enactor_names[0]

    def prefer(actor: str, made: int) -> int:
        if actor == PLANNER:
            return 0 if made < LOOKS else 2
        if actor == first:
            return 1 if made < LOOKS else 4 if made < written else 6
        return 3 if made <= recorded else 5

    return prefer
