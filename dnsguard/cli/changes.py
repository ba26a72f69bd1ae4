"""What differs between two generations, as lines that people know from diff: `-` goes, `+` comes.
Only lines that differ are shown; what no plan covers is said in words.
"""

from collections.abc import Iterable, Sequence

from dnsguard.api.documents import Contents, Difference, Replaced
from dnsguard.cli.display import OPAQUE_MARK, Display

REPLACED_MAX = 20
"""So many replaced RRsets are shown after a write."""

_ABSENCES = {"retired": "retired: removed by name", "uncovered": "no longer covered: left as it is on the server"}


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


def show_replaced(display: Display, replaced: Sequence[Replaced], count: int) -> None:
    """Write what a plan replaced, each line that went with the plan that it came from; ``count`` is of all."""
    for each in replaced[:REPLACED_MAX]:
        before, after = lines(each, each.before), lines(each, each.after)
        origin = "not managed before" if each.generation is None else f"generation {each.generation}"
        for line in before:
            display.line(f"  - {line} ({origin})", "red")
        for line in after:
            display.line(f"  + {line}", "green")
        if each.after is not None and each.after.absence is not None:
            display.line(f"  ; {each.name} {each.type} {_ABSENCES[each.after.absence]}", "dim")
    if count > (shown := len(replaced[:REPLACED_MAX])):
        display.line(f"  … and {count - shown} more RRsets", "dim")


def lines(rrset: Difference, contents: Contents | None) -> list[str]:
    """Return the records of one side as a zone file has them."""
    if contents is None:
        return []
    mark = OPAQUE_MARK * contents.opaque
    return [f"{rrset.name} {contents.ttl} {rrset.type} {record}{mark}" for record in contents.records]
