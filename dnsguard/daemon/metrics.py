"""What /metrics shows of zones and workers, in the words of the design."""

from prometheus_client import CollectorRegistry, Counter, Gauge

from dnsguard import __version__
from dnsguard.core.history import Zone
from dnsguard.workers.step import Step


class Metrics:
    """Counters fed by the workers' steps, gauges fed by the survey of zones."""

    def __init__(self, mode: str) -> None:
        self.registry = CollectorRegistry()
        about = Gauge("dnsguard_build", "Version and mode of this daemon", ["version", "mode"], registry=self.registry)
        about.labels(__version__, mode).set(1)
        self._steps = Counter(
            "dnsguard_steps",
            "Runs of workers by what they came to",
            ["worker", "zone", "event"],
            registry=self.registry,
        )
        self._messages = Counter(
            "dnsguard_update_messages", "UPDATE messages by outcome", ["zone", "outcome"], registry=self.registry
        )
        self._rrsets = Counter("dnsguard_published_rrsets", "RRsets published", ["zone"], registry=self.registry)
        self._gauges = {
            name: Gauge(f"dnsguard_zone_{name}", text, ["zone"], registry=self.registry)
            for name, text in {
                "newest_generation": "Newest accepted generation",
                "published_generation": "Newest generation on record as published",
                "pending_plans": "Plans accepted and not settled",
                "oldest_pending_age_seconds": "Age of the oldest plan that is not settled; 0 if none",
                "halted": "1 if publishing is stopped for the zone, 0 if not",
            }.items()
        }

    def count(self, worker: str, step: Step) -> None:
        """Count a run of a worker."""
        self._steps.labels(worker, step.zone, step.event).inc()
        if step.messages:
            self._messages.labels(step.zone, "applied").inc(step.messages)
        if step.refused:
            self._messages.labels(step.zone, "refused").inc(step.refused)
        if step.event == "publication.completed":
            self._rrsets.labels(step.zone).inc(step.rrsets)

    def survey(self, zone: Zone, now: float) -> None:
        """Show where a zone stands."""
        age = 0.0 if zone.oldest_pending_at is None else max(0.0, now - zone.oldest_pending_at)
        values = (zone.newest, zone.published, zone.pending, age, 0 if zone.halted is None else 1)
        for gauge, value in zip(self._gauges.values(), values, strict=True):
            gauge.labels(zone.name).set(value)

    def forget(self, zone: str) -> None:
        """Show nothing any more of a zone that this daemon no longer serves."""
        for gauge in self._gauges.values():
            gauge.remove(zone)
