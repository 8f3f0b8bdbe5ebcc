"""Start: `rim edge`, as one process or as several.

Here lives the choice alone. Not here: the parent (edge/processes/parent), one of its processes (child), an edge of one
process (edge/serving). What is not needed is not loaded: the parent stays small.
"""

from __future__ import annotations

from edge.config import EdgeConfig
from edge.processes.place import Place


def serve(config: EdgeConfig) -> int:
    """Serve this edge until SIGINT or SIGTERM; the process's exit code."""
    place = Place.take()
    if place is not None:
        from edge.processes.child import serve as serve_place

        return serve_place(config, place)
    if config.processes > 1:
        from edge.processes.parent import serve as serve_all

        return serve_all(config)
    from edge.serving import serve as serve_one

    return serve_one(config)
