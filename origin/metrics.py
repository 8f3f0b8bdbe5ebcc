"""Metrics: the origin's numbers in the Prometheus text format.

Here lives one table (name, kind, help, how to read it); docs and the answer are made from it. Not here: counting
(origin/counters and the parts themselves).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from origin.origin import Origin

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Row:
    """One metric. `read` gives a number, or one per label value (a pair of them where `label` names two)."""

    name: str
    kind: Literal["counter", "gauge"]
    help: str
    read: Callable[[Origin], float | Mapping[str, float] | Mapping[tuple[str, str], float]]
    label: str = ""


METRICS: tuple[Row, ...] = (
    Row(
        "rim_origin_blocks_sent_total",
        "counter",
        "Blocks sent to nodes and clients; content: of Roots and encodings.",
        lambda o: o.counters.blocks_sent,
        "kind",
    ),
    Row("rim_origin_bytes_sent_total", "counter", "Bytes of those blocks.", lambda o: o.counters.bytes_sent, "kind"),
    Row(
        "rim_origin_blocks_received_total",
        "counter",
        "Verified blocks received.",
        lambda o: o.counters.blocks_received,
    ),
    Row("rim_origin_bytes_received_total", "counter", "Bytes of those blocks.", lambda o: o.counters.bytes_received),
    Row("rim_origin_blocks", "gauge", "Blocks stored.", lambda o: o.store.blocks),
    Row("rim_origin_bytes", "gauge", "Bytes of the blocks stored.", lambda o: o.store.bytes),
    Row("rim_origin_corrupt_total", "counter", "Blocks found broken on disk.", lambda o: o.store.corrupt),
    Row("rim_origin_torn_bytes", "gauge", "Bytes of torn tail cut at start.", lambda o: o.store.torn),
    Row("rim_origin_sequence", "gauge", "Sequence of the Head.", lambda o: o.catalog.world.sequence),
    Row("rim_origin_head_expires_seconds", "gauge", "Unix time when the Head ends.", lambda o: o.catalog.head.eol),
    Row("rim_origin_commits_total", "counter", "Heads signed for changes.", lambda o: o.catalog.commits),
    Row("rim_origin_changes_total", "counter", "Changes of sites in them.", lambda o: o.catalog.changes),
    Row("rim_origin_sites", "gauge", "Sites.", lambda o: len(o.catalog.world.sites)),
    Row("rim_origin_pins", "gauge", "Pins.", lambda o: len(o.pins)),
    Row("rim_origin_leases", "gauge", "Open leases.", lambda o: len(o.leases)),
    Row(
        "rim_origin_edges",
        "gauge",
        "Nodes that follow the Head now.",
        lambda o: sum(edge["present"] for edge in o.edges.all()),
    ),
    Row(
        "rim_origin_ring_members",
        "gauge",
        "Edges in the register of the ring. Alert on a fall: who joins through the origin goes by it.",
        lambda o: len(o.register.members),
    ),
    Row(
        "rim_origin_edges_ahead",
        "gauge",
        "Known nodes that serve a Head this origin has never signed. Alert on it: it was put back to an older copy.",
        lambda o: sum(edge["sequence"] > o.catalog.world.sequence for edge in o.edges.all()),
    ),
    Row(
        "rim_origin_refused_total",
        "counter",
        "Requests refused, by the error code of the answer.",
        lambda o: o.counters.refused,
        "code",
    ),
    Row("rim_origin_kubo_calls_total", "counter", "Questions to Kubo, by RPC.", lambda o: o.store.calls, "call"),
    Row("rim_origin_kubo_failures_total", "counter", "Those that failed.", lambda o: o.store.failures, "call"),
    Row("rim_origin_kubo_records_total", "counter", "IPNS records given to Kubo.", lambda o: o.follower.records),
    Row("rim_origin_kubo_records_failed_total", "counter", "Those not taken.", lambda o: o.follower.records_failed),
    Row("rim_origin_kubo_rounds_total", "counter", "Rounds over Kubo's pins.", lambda o: o.follower.rounds),
    Row("rim_origin_kubo_rounds_failed_total", "counter", "Those cut short.", lambda o: o.follower.rounds_failed),
    Row(
        "rim_origin_announced_total",
        "counter",
        "IPNS records of sites given to routers, by what came of it. Alert on refused.",
        lambda o: {"told": 0, "failed": 0, "refused": 0} | o.announcer.counts,
        "result",
    ),
    Row(
        "rim_origin_announcing",
        "gauge",
        "Records that a router has not taken yet.",
        lambda o: o.announcer.waiting,
    ),
    Row("rim_origin_collections_total", "counter", "Garbage collections.", lambda o: o.counters.collections),
    Row("rim_origin_collected_blocks_total", "counter", "Blocks removed.", lambda o: o.counters.collected_blocks),
    Row("rim_origin_collected_bytes_total", "counter", "Disk bytes freed.", lambda o: o.counters.collected_bytes),
    Row(
        "rim_origin_remote_pins",
        "gauge",
        "Pins at pinning services; waiting: not asked for yet, leaving: to go and not seen gone.",
        lambda o: {(f.service.name, status): n for f in o.keeper.all() for status, n in f.table.counts().items()},
        "service, status",
    ),
    Row(
        "rim_origin_remote_failures_total",
        "counter",
        "What failed there; down, limited (429), denied (the token): the service; refused, failed: a pin; lost: a pin "
        "that stood is gone.",
        lambda o: {(f.service.name, kind): n for f in o.keeper.all() for kind, n in f.health.failures.items()},
        "service, kind",
    ),
    Row(
        "rim_origin_remote_service_up",
        "gauge",
        "1: the service answered when it was last asked; 0: it did not, or was not asked yet.",
        lambda o: {f.service.name: float(f.health.state == "ok") for f in o.keeper.all()},
        "service",
    ),
)


class _Origins(Collector):
    """Reads the table at the moment of the scrape."""

    def __init__(self, origin: Origin) -> None:
        self._origin = origin

    def collect(self) -> Iterator[Metric]:
        for row in METRICS:
            family = CounterMetricFamily if row.kind == "counter" else GaugeMetricFamily
            metric = family(row.name, row.help, labels=row.label.split(", ") if row.label else [])
            value = row.read(self._origin)
            for label, number in value.items() if isinstance(value, Mapping) else [((), value)]:
                metric.add_metric([label] if isinstance(label, str) else label, number)
            yield metric


def render(origin: Origin) -> bytes:
    """The answer of /metrics."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Origins(origin))
    return generate_latest(registry)
