"""Metrics: every number that an edge tells, one row each, and their rendering.

Here live the table (docs/metrics.md is made from it) and the text form. Not here: the counting; rooms keep plain
values, edge/assembly hands them in, and this is the only place that knows prometheus-client.

No process-wide registry: three nodes in one process have three sets of numbers.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.exposition import generate_latest
from prometheus_client.registry import Collector

# A metric's value; or its values by label, one text per label of the row
Value: TypeAlias = "float | Mapping[str, float] | Mapping[tuple[str, ...], float]"
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Metric:
    """One row. A counter's name ends in _total."""

    name: str
    help: str
    labels: tuple[str, ...] = ()

    @property
    def kind(self) -> str:
        return "counter" if self.name.endswith("_total") else "gauge"


METRICS: tuple[Metric, ...] = (
    Metric("rim_requests_total", "Answers given to visitors, by where they came from.", ("outcome",)),
    Metric("rim_responses_total", "Answers given to visitors, by status. Alert on 5xx.", ("status",)),
    Metric("rim_response_bytes_total", "Body bytes handed to visitors' connections."),
    Metric("rim_responses_broken_total", "Answers cut off after their first byte: the rest could not be had."),
    Metric("rim_requests_refused_total", "Requests refused by the listener before they were one.", ("status",)),
    Metric("rim_early_hints_total", "Answers that a 103 went before: documents that were not in memory."),
    Metric("rim_connections", "Open connections of visitors."),
    Metric("rim_limits_reached_total", "Connections and requests that a limit turned away, by limit.", ("limit",)),
    Metric(
        "rim_site_requests_total",
        "Answers by site, class of status and outcome; without a site: hosts that are nobody's.",
        ("site", "status", "outcome"),
    ),
    Metric("rim_site_response_bytes_total", "Body bytes handed to visitors' connections, by site.", ("site",)),
    Metric("rim_log_lost_total", "Lines of the access log that were not written: its sink blocks or fails."),
    Metric(
        "rim_tls_certificate_ends_seconds", "Seconds until the certificate ends; +Inf without TLS. Alert below a week."
    ),
    Metric("rim_tls_reload_errors_total", "Certificates that could not be read at SIGHUP: the last one stays. Alert."),
    Metric("rim_ready_answers", "Answers that wait in memory."),
    Metric("rim_delta_answers_total", "Answers whose body was a delta (dcz)."),
    Metric("rim_delta_answer_bytes_total", "Body bytes of those."),
    Metric("rim_deltas_made_total", "Deltas compressed: one a pair of files, again where memory let it go."),
    Metric("rim_deltas_made_bytes_total", "Bytes of those."),
    Metric("rim_delta_cpu_seconds_total", "CPU spent compressing them, in a thread of its own."),
    Metric(
        "rim_deltas_missed_total",
        "Dictionaries that no delta came of, by reason: unknown (in no base of the site), larger (than what is there), "
        "busy, late, unavailable (nobody gave the base), unfit (denied, or its row is wrong). Alert on busy and late.",
        ("reason",),
    ),
    Metric("rim_head_sequence", "Sequence of the Head that this edge serves."),
    Metric("rim_head_ends_seconds", "Seconds until the Head's record ends; below 0 it is served as stale."),
    Metric("rim_head_stale", "1 while the Head is past its end. Alert on it: the origin has been away for long."),
    Metric(
        "rim_head_ahead",
        "1 while the origin is at an older Head than this edge serves. Alert on it: the origin was put back to a copy.",
    ),
    Metric("rim_head_contact_seconds", "Seconds since the origin was last heard of."),
    Metric("rim_head_swaps_total", "Heads taken."),
    Metric(
        "rim_head_refused_total", "Heads not taken, by reason. Alert on fork: two histories are signed.", ("reason",)
    ),
    Metric("rim_head_errors_total", "Requests for the Head that failed."),
    Metric("rim_head_unstored_total", "Times that the Head could not be stored: served, and no receipt given."),
    Metric("rim_warmed_blocks_total", "Blocks fetched ahead of an activation."),
    Metric("rim_warm_errors_total", "Releases that could not be warmed."),
    Metric("rim_sites", "Sites that this edge serves."),
    Metric("rim_blocks_loaded_total", "Blocks taken, by where they came from.", ("source",)),
    Metric("rim_block_bytes_total", "Bytes of blocks taken, by where they came from.", ("source",)),
    Metric("rim_blocks_unavailable_total", "Blocks that nobody gave."),
    Metric("rim_memory_bytes", "Bytes in the memory tier, its overhead counted."),
    Metric("rim_memory_budget_bytes", "Bytes that the memory tier may take."),
    Metric("rim_memory_evicted_total", "Blocks pushed out of memory. Fast growth: raise --memory."),
    Metric("rim_disk_bytes", "Bytes in the disk tier."),
    Metric("rim_disk_budget_bytes", "Bytes that the disk tier may take."),
    Metric("rim_disk_blocks", "Blocks in the disk tier."),
    Metric("rim_disk_written_bytes_total", "Bytes written to the disk tier."),
    Metric("rim_disk_probation_total", "Blocks seen for the first time while the disk was full, and not written yet."),
    Metric("rim_disk_skipped_total", "Blocks not written: too large, too many waiting, or the disk sick or short."),
    Metric("rim_disk_short_of_space_total", "Times that blocks went to leave --cache-min-free to others."),
    Metric("rim_disk_evicted_total", "Blocks pushed off the disk. Fast growth: raise --cache."),
    Metric("rim_disk_quarantined_total", "Blocks on disk that were not what their name says. Alert: the disk lies."),
    Metric("rim_disk_read_errors_total", "Reads that failed, by error.", ("error",)),
    Metric("rim_disk_write_errors_total", "Writes that failed, by error (ENOSPC: the disk is full).", ("error",)),
    Metric("rim_peer_faults_total", "Questions to other nodes that came to nothing, by how.", ("fault",)),
    Metric("rim_peers_ejected", "Nodes left alone at this moment."),
    Metric("rim_peer_ejections_total", "Times a node was left alone."),
    Metric(
        "rim_peer_state",
        "1 for each other member and the state it is in: ready, joining or draining by its own word; ejected, suspect "
        "or resting by what was seen of it here.",
        ("member", "state"),
    ),
    Metric("rim_ring_members", "Members that own blocks, this edge among them. Alert on a fall."),
    Metric("rim_ring_changes_total", "Times that the ring became another: a member came, went, or changed its state."),
    Metric("rim_ring_errors_total", "Looks at who is in the ring that failed; the last list stays. Alert on growth."),
    Metric("rim_probes_total", "Questions for the health of members that were out."),
    Metric("rim_served_blocks_total", "Blocks given to other nodes."),
    Metric("rim_peer_hedges_total", "Second choices asked before the first had failed, by whether they won.", ("won",)),
    Metric("rim_peer_retries_denied_total", "Those not asked, since one question in ten is the most."),
    Metric(
        "rim_mirror_reads_total",
        "Blocks of hot keys asked of a mirror, by what came of it: hit, miss (its owner was asked), failed.",
        ("outcome",),
    ),
    Metric("rim_peer_newer_total", "Questions and answers of nodes that speak a later version of our language."),
    Metric(
        "rim_name_lookups_total",
        "Lookups of DNSLinks (map, dns) and of IPNS records (seed, origin, peer, gateway, router), by what came of it.",
        ("source", "result"),
    ),
    Metric("rim_names_stale_total", "Answers from a name's last good value: nobody could be asked for a newer one."),
    Metric("rim_names_known", "Domains and keys whose meaning is in memory."),
    Metric(
        "rim_ipns_records_refused_total",
        "IPNS records not taken, by reason. Alert on fork: two histories of one name are signed.",
        ("reason",),
    ),
    Metric("rim_denied_total", "Answers, and blocks for other nodes, that were refused as denied.", ("status",)),
    Metric("rim_denylist_rules", "Rules in force, by list; `catalog` is the origin's own.", ("list",)),
    Metric(
        "rim_denylist_age_seconds",
        "Seconds since a list was last known to be as it should; +Inf where there is none yet. Alert on it.",
        ("list",),
    ),
    Metric("rim_denylist_errors_total", "Times that a list could not be had or read. Alert on growth.", ("list",)),
    Metric(
        "rim_browser_reports_total",
        "Reports of service workers, by kind. Alert on lie: some place sends what the site has not published.",
        ("kind",),
    ),
    Metric(
        "rim_browser_manifests_invalid_total",
        "Manifests that are not what the site's key has signed: their sites have no worker. Alert on growth.",
    ),
    Metric("rim_processes", "Processes of this edge that answered when they were asked for these numbers."),
    Metric("rim_process_restarts_total", "Processes of this edge that died and were started again. Alert on growth."),
    Metric(
        "rim_handover_blocks_total",
        "Blocks pulled because they are hot elsewhere: handover (a member leaves, and they are ours then), join.",
        ("why",),
    ),
    Metric(
        "rim_shed_total",
        "Misses turned away (503) because as many as this edge can take are under way, by who asked: visitor, peer. "
        "Alert on growth.",
        ("what",),
    ),
    Metric("rim_misses", "Misses under way."),
    Metric("rim_tasks", "Tasks of the event loop. Growth that no load explains is a leak."),
    Metric("rim_loop_lag_seconds", "Longest stall of the event loop in the last ten seconds."),
    Metric("rim_loop_stalls_total", "Stalls of the event loop above 50 ms."),
)


class _Once(Collector):
    def __init__(self, families: Iterable[CounterMetricFamily | GaugeMetricFamily]) -> None:
        self._families = list(families)

    def collect(self) -> Iterator[CounterMetricFamily | GaugeMetricFamily]:
        return iter(self._families)


def render(values: Mapping[str, Value], rows: Iterable[Metric] = METRICS) -> bytes:
    """The text form of these values. A row without a value is left out; a value without one is a KeyError."""
    known = {row.name: row for row in rows}
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Once(_family(known[name], value) for name, value in values.items()))
    return generate_latest(registry)


def _family(row: Metric, value: Value) -> CounterMetricFamily | GaugeMetricFamily:
    kind = CounterMetricFamily if row.kind == "counter" else GaugeMetricFamily
    family = kind(row.name, row.help, labels=row.labels)
    if isinstance(value, Mapping):
        for labels, number in value.items():
            family.add_metric([labels] if isinstance(labels, str) else list(labels), number)
    else:
        family.add_metric([], value)
    return family
