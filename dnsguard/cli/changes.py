"""What differs between two generations, as lines that people know from diff: `-` goes, `+` comes.
Only lines that differ are shown; what no plan covers is said in words.
"""

from collections.abc import Iterable

from dnsguard.api.documents import Contents, Difference
from dnsguard.cli.display import OPAQUE_MARK, Display

_ABSENCES = {"retired": "retired: removed by name", "withdrawn": "no longer covered: left as it is on the server"}


def show_changes(display: Display, differences: Iterable[Difference]) -> int:
    """Write the differences, or that there are none. Returns how many RRsets differ."""
    count = 0
    for difference in differences:
        count += 1
        before, after = lines(difference, difference.before), lines(difference, difference.after)
        for line in before:
            if line not in after:
                display.line(f"- {line}", "red")
        for line in after:
            if line not in before:
                display.line(f"+ {line}", "green")
        if difference.after is None:
            display.line(f"; {difference.name} {difference.type} not covered by any plan", "dim")
        elif difference.after.absence is not None:
            display.line(f"; {difference.name} {difference.type} {_ABSENCES[difference.after.absence]}", "dim")
    if not count:
        display.line("no difference")
    return count


def lines(rrset: Difference, contents: Contents | None) -> list[str]:
    """Return the records of one side as a zone file has them."""
    if contents is None:
        return []
    mark = OPAQUE_MARK * contents.opaque
    return [f"{rrset.name} {contents.ttl} {rrset.type} {record}{mark}" for record in contents.records]
