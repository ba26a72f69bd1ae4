"""What /metrics shows of zones and workers, in the words of the design."""

from collections.abc import Callable, Iterator

from prometheus_client import CollectorRegistry, Counter, Gauge
from prometheus_client.metrics_core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector

from dnsguard import __version__
from dnsguard.core.comparison import Kind, Verification
from dnsguard.core.history import Zone
from dnsguard.core.propagation import Served, Standing
from dnsguard.core.verification_state import VerificationState
from dnsguard.daemon.outlet import Outlet
from dnsguard.workers.step import Step


class Metrics:
    """Counters fed by the workers' steps, gauges fed by the survey of zones."""

    def __init__(self, mode: str) -> None:
        self.registry = CollectorRegistry()
        about = Gauge("dnsguard_build", "Version and mode of this daemon", ["version", "mode"], registry=self.registry)
        about.labels(__version__, mode).set(1)
        self.registry.register(_LostLines())
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
                "propagated_generation": "Newest generation that all listed name servers serve",
                "stuck": "1 if something keeps this daemon from publishing all of the zone's plans, 0 if nothing does",
                "waiting_plans": "Plans that wait until a name can be read",
                "faulted_plans": "Published plans of which something is not on the wire",
                "withdrawing_plans": "Plans that are being withdrawn",
            }.items()
        }
        self._servers = {
            name: Gauge(f"dnsguard_name_server_{name}", text, ["zone", "server"], registry=self.registry)
            for name, text in {
                "generation": "Newest generation that the name server serves completely",
                "behind_generations": "Published generations that it does not serve",
                "behind_seconds": "Age of the oldest of them; 0 if none",
            }.items()
        }
        self._standing = Gauge(
            "dnsguard_name_server_standing",
            "1 for how a name server stands, 0 for how it does not",
            ["zone", "server", "standing"],
            registry=self.registry,
        )
        self._reversals = Counter(
            "dnsguard_name_server_reversals",
            "How often a name server served less than it did before",
            ["zone", "server"],
            registry=self.registry,
        )

        self._findings = Gauge(
            "dnsguard_verification_findings",
            "What differed between primary and history, by kind, when this daemon last compared them",
            ["zone", "kind"],
            registry=self.registry,
        )
        self._verifications = {
            name: Gauge(f"dnsguard_verification_{name}", text, ["zone"], registry=self.registry)
            for name, text in {
                "timestamp_seconds": "When this daemon last compared primary and history",
                "unmanaged_rrsets": "RRsets that plans do not concern",
                "suspended_repairs": "RRsets that are repaired no more for the time being",
            }.items()
        }
        self._verification_states = {
            name: Gauge(f"dnsguard_verification_{name}", text, ["zone"], registry=self.registry)
            for name, text in {
                "age_seconds": "Age of this daemon's last successful verification; without one, since when it tries",
                "failed": "1 if this daemon's newest verification failed or is older than twice the interval, 0 if not",
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

    def follow(self, zone: str, served: Served, before: Served) -> None:
        """Show how a name server stands."""
        behind_s = 0.0
        if served.behind_since is not None and served.asked_at is not None:
            behind_s = max(0.0, served.asked_at - served.behind_since)
        values = (served.generation or 0, served.behind, behind_s)
        for gauge, value in zip(self._servers.values(), values, strict=True):
            gauge.labels(zone, served.server).set(value)
        for standing in Standing:
            self._standing.labels(zone, served.server, standing.value).set(served.standing is standing)
        if served.standing is Standing.BACKWARDS and before.standing is not Standing.BACKWARDS:
            self._reversals.labels(zone, served.server).inc()

    def survey(self, zone: Zone, now: float, *, stuck: bool, followed: bool) -> None:
        """Show where a zone stands.

        ``stuck``: not everything is being published; ``followed``: it lists name servers.
        """
        age = 0.0 if zone.oldest_pending_at is None else max(0.0, now - zone.oldest_pending_at)
        propagated = zone.propagated if followed else zone.published
        values = (
            zone.newest,
            zone.published,
            zone.pending,
            age,
            zone.halted is not None,
            propagated,
            stuck,
            zone.waiting,
            zone.faulted,
            zone.withdrawing,
        )
        for gauge, value in zip(self._gauges.values(), values, strict=True):
            gauge.labels(zone.name).set(value)

    def verified(self, found: Verification, suspended: int) -> None:
        """Show what a comparison came to."""
        for kind in Kind:
            self._findings.labels(found.zone, kind.value).set(found.count.get(kind, 0))
        values = (found.at, found.unmanaged, suspended)
        for gauge, value in zip(self._verifications.values(), values, strict=True):
            gauge.labels(found.zone).set(value)

    def watch_verification(self, zone: str, state: Callable[[], VerificationState], now: Callable[[], float]) -> None:
        """Show how current a zone's verification is, as of each scrape: it ages while nothing happens."""
        age, failed = (self._verification_states[name].labels(zone) for name in ("age_seconds", "failed"))
        age.set_function(lambda: state().age_s(now()))
        failed.set_function(lambda: float(state().has_failed(now())))

    def forget(self, zone: str) -> None:
        """Show nothing any more of a zone that this daemon no longer serves."""
        for gauge in self._gauges.values():
            gauge.remove(zone)
        for verification in (*self._verifications.values(), *self._verification_states.values(), self._findings):
            verification.remove_by_labels({"zone": zone})
        self.forget_servers(zone)

    def forget_servers(self, zone: str) -> None:
        """Show nothing any more of a zone's name servers: they may be others now."""
        for metric in (*self._servers.values(), self._standing, self._reversals):
            metric.remove_by_labels({"zone": zone})


class _LostLines(Collector):
    """How many lines of the log nobody will read."""

    def collect(self) -> Iterator[Metric]:
        """Count them."""
        about = "Log lines that could not be written: the disk was full, or the pipe closed"
        yield CounterMetricFamily("dnsguard_log_lines_lost", about, value=Outlet.lost)
