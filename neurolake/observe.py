"""Metrics and traces of one lake: what is counted, and a span for each stage when the process traces."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry
    from prometheus_client.core import Metric

DURATIONS_S = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10, 30, 60, 300)
_QUIET: AbstractContextManager[None] = nullcontext()


class Gauges(NamedTuple):
    """Values of one name at one moment. Without samples there is nothing to say, and nothing is said."""

    name: str
    help: str
    labels: tuple[str, ...]
    samples: Sequence[tuple[tuple[str, ...], float]]


class _Asked:
    """Gauges that are asked for at every scrape."""

    def __init__(self, source: Callable[[], Iterable[Gauges]]) -> None:
        self._source = source

    def collect(self) -> Iterator[Metric]:
        """What prometheus_client calls."""
        from prometheus_client.core import GaugeMetricFamily

        for one in self._source():
            family = GaugeMetricFamily(one.name, one.help, labels=one.labels)
            for labels, value in one.samples:
                family.add_metric(labels, value)
            if one.samples:
                yield family


class Metrics:
    """The counters of one lake, in a registry of its own, so that two lakes in a process share nothing."""

    def __init__(self) -> None:
        from prometheus_client import CollectorRegistry, Counter, Histogram

        self.registry: CollectorRegistry = CollectorRegistry()
        self._statements = Counter(
            "neurolake_statements", "Statements that ended, by state.", ["state"], registry=self.registry
        )
        self._seconds = Histogram(
            "neurolake_statement_seconds",
            "How long statements took.",
            registry=self.registry,
            buckets=DURATIONS_S,
        )
        self._rows = Counter("neurolake_rows_out", "Rows delivered.", registry=self.registry)
        self._bytes = Counter("neurolake_bytes_out", "Arrow bytes delivered.", registry=self.registry)
        self._logins = Counter(
            "neurolake_logins", "Logins, by what proves them and how they ended.", ["method", "outcome"],
            registry=self.registry,
        )  # fmt: skip
        self._personal = Counter(
            "neurolake_personal_results", "Columns of results that turned out to hold personal data, by kind.",
            ["kind"], registry=self.registry,
        )  # fmt: skip
        self._literals = Counter(
            "neurolake_personal_literals", "Statements that held personal data as a literal, by kind.", ["kind"],
            registry=self.registry,
        )  # fmt: skip
        self._scans = Counter(
            "neurolake_pii_scans", "Scans for personal data in the background, by how they ended.", ["outcome"],
            registry=self.registry,
        )  # fmt: skip
        self._notifications = Counter(
            "neurolake_notifications", "Messages about backup jobs, by channel and how that ended.",
            ["channel", "outcome"], registry=self.registry,
        )  # fmt: skip
        self._states: dict[str, Any] = {}

    def ended(self, state: str, seconds: float, rows: int, bytes_out: int) -> None:
        """Count one statement's end."""
        counter = self._states.get(state)
        if counter is None:
            counter = self._states[state] = self._statements.labels(state)
        counter.inc()
        self._seconds.observe(seconds)
        self._rows.inc(rows)
        self._bytes.inc(bytes_out)

    def personal(self, kinds: Iterable[str]) -> None:
        """Count kinds of personal data that the columns of a result turned out to hold."""
        for kind in kinds:
            self._personal.labels(kind).inc()

    def literals(self, kinds: Iterable[str]) -> None:
        """Count kinds of personal data that the literals of a statement held."""
        for kind in kinds:
            self._literals.labels(kind).inc()

    def scanned(self, outcome: str) -> None:
        """Count the end of a scan in the background: `done`, or the code it failed with."""
        self._scans.labels(outcome).inc()

    def login(self, method: str, outcome: str) -> None:
        """Count a login: `done`, or the code it failed with."""
        self._logins.labels(method, outcome).inc()

    def ask(self, source: Callable[[], Iterable[Gauges]]) -> None:
        """Have these gauges at every scrape."""
        self.registry.register(_Asked(source))

    def notified(self, channel: str, outcome: str) -> None:
        """Count a message: `sent` or `failed`."""
        self._notifications.labels(channel, outcome).inc()


def stage(name: str, query_id: str) -> AbstractContextManager[None]:
    """A span around one stage, where the process has set up OpenTelemetry; free where it has not."""
    if "opentelemetry.sdk.trace" not in sys.modules:
        return _QUIET
    return _span(name, query_id)


@contextmanager
def _span(name: str, query_id: str) -> Iterator[None]:
    from opentelemetry import trace

    attributes = {"neurolake.query_id": query_id}
    with trace.get_tracer("neurolake").start_as_current_span(
        f"neurolake.{name}", attributes=attributes, record_exception=False
    ) as span:
        span.add_event(name, attributes)
        yield
