"""What a scenario is made of, as values: how many daemons, plans and endpoints, and under which rules.
Nothing here runs anything.
"""

import struct
from dataclasses import dataclass, field, replace

from dnsguard.core.guards import GUARDED, Guards
from dnsguard.core.layout import LAYOUTS
from dnsguard.core.names import name_wire
from dnsguard.core.plan import Wanted
from dnsguard.core.policy import Policy
from dnsguard.core.publication_order import OrderRule
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
    orders: tuple[OrderRule, ...] = ()
    """Orders of publication of the enactors, by turns, as of daemons of different versions; empty: the guards' own.
    """
    mail: bool = False
    """Whether the second endpoint is an MX that points at the first one, after which it goes out or before."""
    withdraws: bool = False
    """Whether the newest plan is withdrawn as soon as it is accepted."""
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
        return tuple(Key(owner, "MX" if self.mail and at == 1 else "A") for at, owner in enumerate(self.owners))

    def contents(self, number: int) -> Records:
        """Return what a plan wants at each endpoint: of each plan, another address."""
        return Records(TTL_S, (bytes((192, 0, 2, number)),))

    def wanted(self, number: int) -> dict[Key, Wanted]:
        """Return what a plan wants."""
        mail = Records(TTL_S, (struct.pack("!H", number) + name_wire(self.owners[0]),))
        return {key: mail if key.type == "MX" else self.contents(number) for key in self.keys}

    def guards_of(self, who: str) -> Guards:
        """Return an enactor's guards."""
        if not self.orders or who not in self.enactor_names:
            return self.guards
        order = self.orders[self.enactor_names.index(who) % len(self.orders)]
        return replace(self.guards, order=(order,))


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
