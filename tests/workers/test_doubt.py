"""Who is to blame for refused contents, where nobody is left to blame."""

from dnsguard.core.history import PlanState
from dnsguard.core.message import Message, Outcome, Refused
from dnsguard.workers.step import Then
from tests.workers.rig import ZONE, PickyPublisher, Rig, a, key


class Moody(PickyPublisher):
    """Refuses one message, whatever is in it: a bad neighbour in its batch."""

    moody: bool = False

    async def publish(self, message: Message) -> Outcome:
        if self.moody:
            self.moody = False
            return Refused("SERVFAIL", "a bad neighbour in the batch")
        return await PickyPublisher.publish(self, message)


async def test_a_refused_message_of_which_everything_was_rejected_meanwhile_blames_nobody() -> None:
    rig = Rig()
    rig.publisher = publisher = Moody(rig.primary)
    await rig.submit({key("www"): a("192.0.2.1")})
    await rig.settle()
    await rig.submit({key("www"): a("192.0.2.66")})
    await rig.submit({key("api"): a("192.0.2.3")})
    publisher.poison = {*a("192.0.2.66").rdatas, *a("192.0.2.3").rdatas}
    slow = rig.enactor()
    step = await slow.run_once()
    assert (step.event, step.generation) == ("publication.narrowed", 3)
    assert await rig.store.reject(ZONE, 2, "found by another enactor", 1.0) == 4
    publisher.poison, publisher.moody = set(), True
    step = await slow.run_once()
    assert (step.event, step.then) == ("publication.narrowed", Then.AT_ONCE)
    await rig.settle(slow)
    assert rig.on_wire(key("api")) == a("192.0.2.3")
    assert rig.entry(3).state is PlanState.PUBLISHED
