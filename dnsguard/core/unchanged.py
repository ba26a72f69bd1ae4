"""What a plan changes of what is accepted, and whether it changes anything. Pure; asked in the accepting transaction,
once no guard refuses the plan.
"""

from dnsguard.core.history import Difference, Judged, Replaced, Submission
from dnsguard.core.plan import Absence, Wanted
from dnsguard.core.records import Key, Records, identical
from dnsguard.core.refusal import Refusal
from dnsguard.core.submission import Submitted


def unchanged_at(facts: Submitted, submission: Submission) -> int | None:
    """Return the newest generation that a plan's contents come from if it changes nothing, else None.

    A plan changes something if an RRset is not covered yet, has other contents, or would be taken over; if it asks to
    become a generation (``stated``, ``republish``); or if the primary was found to differ since the RRset was last
    written. Without this rule a job that submits the same every minute fills the history and publishes for nothing.
    """
    plan = submission.plan
    if submission.republish or plan.stated is not None or not plan.rrsets:
        return None
    compared_at = dict(submission.open_findings)
    takes_over = plan.adopt or plan.as_found
    newest = 0
    for key, wanted in plan.rrsets:
        standing = facts.standing.get(key)
        if standing is None or not identical(standing.wanted, wanted) or (takes_over and not standing.adopted):
            return None
        if standing.generation <= compared_at.get(key, -1):
            return None
        newest = max(newest, standing.generation)
    return newest


def replaced(facts: Submitted) -> tuple[Replaced, ...]:
    """Return the RRsets whose records a plan replaces or retires, in its order, with what they had before."""
    found = []
    for key, wanted in facts.plan.rrsets:
        before, generation = _before(facts, key)
        if isinstance(before, Records) and not identical(before, wanted):
            found.append(Replaced(key, before, wanted, generation))
    return tuple(found)


def judged(facts: Submitted, submission: Submission, verdicts: tuple[tuple[str, Refusal | None], ...]) -> Judged:
    """Return the answer of a dry run, given what every guard says."""
    acceptable = all(refusal is None for _, refusal in verdicts)
    differences = []
    for key, wanted in facts.plan.rrsets:
        standing = facts.standing.get(key)
        before = None if standing is None or standing.wanted is Absence.UNCOVERED else standing.wanted
        if not identical(before, wanted):
            differences.append(Difference(key, before, wanted))
    rests_on = unchanged_at(facts, submission) if acceptable else None
    return Judged(facts.newest, verdicts, tuple(differences), rests_on)


def _before(facts: Submitted, key: Key) -> tuple[Wanted | None, int | None]:
    """Return an RRset's newest accepted contents; where no plan covers it, what the primary shows."""
    standing = facts.standing.get(key)
    if standing is None or standing.wanted is Absence.UNCOVERED:
        return (facts.wire or {}).get(key), None
    return standing.wanted, standing.generation
