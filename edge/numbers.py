"""Numbers: every room's counts under the names of edge/control/metrics, and the status as JSON.

Here lives the gathering. Rooms keep plain values and know nothing of metrics; nothing here counts.
"""

from __future__ import annotations

import asyncio
import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from edge.app import SiteApp
from edge.browsers.deltas import Deltas
from edge.cache.loader import Loader
from edge.control.admin import Private
from edge.control.denylists import Sources
from edge.control.handover import Handover
from edge.control.head import Follower
from edge.control.metrics import Value
from edge.control.roster.probes import Probes
from edge.control.roster.roster import Roster
from edge.control.warm import Warmer
from edge.control.watchdog import Watchdog
from edge.denials import Denials
from edge.front import Front
from edge.http.listener import Listener
from edge.names.names import Names
from edge.peers.members import Members
from edge.ready import Ready
from edge.site.view import Published


@dataclass(slots=True)
class Numbers:
    """The rooms of one node."""

    ready: Ready
    loader: Loader
    members: Members
    follower: Follower
    warmer: Warmer
    watchdog: Watchdog
    public: Listener
    private: Private
    front: Front
    names: Names
    denials: Denials
    denylists: Sources
    app: SiteApp
    deltas: Deltas
    roster: Roster
    probes: Probes
    handover: Handover

    def values(self) -> dict[str, Value]:
        """For /metrics."""
        parts = (
            self._answers(),
            self._deltas(),
            self._front(),
            self._head(),
            self._blocks(),
            self._peers(),
            self._names(),
            self._denied(),
            self._browsers(),
        )
        return {name: value for part in parts for name, value in part.items()}

    def _browsers(self) -> dict[str, Value]:
        return {
            "rim_browser_reports_total": dict(self.app.reports.counts),
            "rim_browser_manifests_invalid_total": self.app.browsers.manifests.invalid,
        }

    def _denied(self) -> dict[str, Value]:
        return {
            "rim_denied_total": _text(self.denials.counts),
            "rim_denylist_rules": {one.name: len(one) for one in self.denials.lists.lists},
            "rim_denylist_age_seconds": dict(self.denylists.ages()),
            "rim_denylist_errors_total": {source.name: source.errors for source in self.denylists.sources},
        }

    def _answers(self) -> dict[str, Value]:
        counts = self.ready.counts
        return {
            "rim_requests_total": _text(counts.outcomes),
            "rim_responses_total": _text(counts.statuses),
            "rim_response_bytes_total": counts.bytes,
            "rim_responses_broken_total": counts.broken,
            "rim_requests_refused_total": _text(counts.refused),
            "rim_early_hints_total": self.app.hinted,
            "rim_connections": self.public.connections,
            "rim_ready_answers": len(self.ready.keeping),
            "rim_processes": 1,
            "rim_process_restarts_total": 0,
            "rim_tasks": len(asyncio.all_tasks()),
            "rim_loop_lag_seconds": self.watchdog.worst,
            "rim_loop_stalls_total": self.watchdog.stalls,
        }

    def _deltas(self) -> dict[str, Value]:
        counts, sent = self.deltas.counts, self.ready.counts.deltas.values()
        return {
            "rim_delta_answers_total": sum(tally.requests for tally in sent),
            "rim_delta_answer_bytes_total": sum(tally.bytes for tally in sent),
            "rim_deltas_made_total": counts.made,
            "rim_deltas_made_bytes_total": counts.bytes,
            "rim_delta_cpu_seconds_total": counts.seconds,
            "rim_deltas_missed_total": dict(counts.missed),
        }

    def _front(self) -> dict[str, Value]:
        requests: Counter[tuple[str, ...]] = Counter()
        sent: Counter[str] = Counter()
        for (site, status, outcome), tally in self.ready.counts.all():
            requests[site, f"{status // 100}xx", str(outcome)] += tally.requests
            sent[site] += tally.bytes
        keys, log = self.front.keys, self.front.log
        return {
            "rim_site_requests_total": +requests,
            "rim_site_response_bytes_total": sent,
            "rim_limits_reached_total": dict(self.front.door.refused),
            "rim_log_lost_total": 0 if log is None else log.lost,
            "rim_tls_certificate_ends_seconds": math.inf if keys is None else keys.seconds_left,
            "rim_tls_reload_errors_total": 0 if keys is None else keys.errors,
        }

    def _head(self) -> dict[str, Value]:
        follower, counts = self.follower, self.follower.counts
        return {
            "rim_head_sequence": follower.sequence,
            "rim_head_ends_seconds": follower.seconds_left,
            "rim_head_stale": int(follower.is_stale),
            "rim_head_ahead": int(follower.is_ahead),
            "rim_head_contact_seconds": follower.source.contact_age(),
            "rim_head_swaps_total": counts.swaps,
            "rim_head_refused_total": dict(follower.judge.refused),
            "rim_head_errors_total": counts.errors,
            "rim_head_unstored_total": follower.keeping.unstored,
            "rim_warmed_blocks_total": self.warmer.counts.blocks,
            "rim_warm_errors_total": self.warmer.counts.errors,
            "rim_sites": len(self.ready.router.sites),
        }

    def _blocks(self) -> dict[str, Value]:
        loader, memory, disk = self.loader, self.loader.memory, self.loader.disk
        return {
            "rim_blocks_loaded_total": _text(loader.counts.loaded),
            "rim_block_bytes_total": _text(loader.counts.bytes),
            "rim_shed_total": dict(loader.pressure.shed),
            "rim_misses": loader.pressure.misses,
            "rim_blocks_unavailable_total": loader.counts.unavailable,
            "rim_memory_bytes": memory.bytes,
            "rim_memory_budget_bytes": memory.budget,
            "rim_memory_evicted_total": memory.counts.evicted,
            "rim_disk_bytes": disk.used,
            "rim_disk_budget_bytes": disk.budget,
            "rim_disk_blocks": len(disk),
            "rim_disk_written_bytes_total": disk.counts.written,
            "rim_disk_probation_total": disk.counts.on_probation,
            "rim_disk_skipped_total": disk.counts.skipped,
            "rim_disk_short_of_space_total": disk.counts.short_of_space,
            "rim_disk_evicted_total": disk.counts.evicted,
            "rim_disk_quarantined_total": disk.counts.quarantined,
            "rim_disk_read_errors_total": dict(disk.counts.read_errors),
            "rim_disk_write_errors_total": dict(disk.counts.write_errors),
        }

    def _peers(self) -> dict[str, Value]:
        sources = self.loader.sources
        return {
            "rim_peer_faults_total": _text(self.loader.client.counts.faults),
            "rim_peers_ejected": len(self.members.ejected()),
            "rim_peer_ejections_total": self.members.ejections,
            "rim_peer_state": self.roster.states(),
            "rim_ring_members": len(self.loader.ring.members),
            "rim_ring_changes_total": self.roster.changes,
            "rim_ring_errors_total": self.roster.errors,
            "rim_probes_total": self.probes.sent,
            "rim_handover_blocks_total": dict(self.handover.pulled),
            "rim_served_blocks_total": self.private.served,
            "rim_peer_hedges_total": dict(sources.hedges),
            "rim_peer_retries_denied_total": sources.asker.retries.denied,
            "rim_mirror_reads_total": dict(sources.mirror_reads),
            "rim_peer_newer_total": self.private.newer + self.loader.client.counts.newer,
        }

    def _names(self) -> dict[str, Value]:
        links, records = self.names.links, self.names.records
        lookups: Counter[tuple[str, ...]] = Counter()
        for count in (links.counts, records.counts):
            lookups.update(count)
        return {
            "rim_name_lookups_total": lookups,
            "rim_names_stale_total": links.memo.served_stale + records.memo.served_stale,
            "rim_names_known": len(links.memo) + len(records.memo),
            "rim_ipns_records_refused_total": dict(records.refused),
        }

    def status(self) -> dict[str, Any]:
        """For /api/v1/status."""
        memory, disk = self.loader.memory, self.loader.disk
        return {
            "name": self.private.node,
            "sequence": self.follower.sequence,
            "stored": self.follower.stored,
            "stale": self.follower.is_stale,
            "ready": self.follower.ready.is_set(),
            "sites": {
                name: {
                    "live": _release(view.live),
                    "next": _release(view.next),
                    "generation": view.site.generation,
                }
                for name, view in self.ready.router.sites.items()
            },
            "memory": {"bytes": memory.bytes, "budget": memory.budget, "blocks": len(memory)},
            "disk": {"bytes": disk.used, "budget": disk.budget, "blocks": len(disk)},
            "ring": [str(member) for member in self.loader.ring.members],
            "members": self.roster.shown(),
            "ejected": list(self.members.ejected()),
            "outcomes": {str(outcome): count for outcome, count in self.ready.counts.outcomes.items()},
        }


def _release(published: Published | None) -> str | None:
    return None if published is None else str(published.cid)


def _text(counts: Mapping[Any, int]) -> dict[str, float]:
    return {str(key): value for key, value in counts.items()}
