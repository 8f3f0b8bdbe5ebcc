"""Refusals: what is told where content cannot be, or may not be, answered.

Here lives the way from each fault to a status, and its form: a page for a browser, words for others. Not here: where
faults come from.

Spec: https://specs.ipfs.tech/http-gateways/path-gateway/#response-status-codes
"""

from __future__ import annotations

import logging
from dataclasses import replace
from http import HTTPStatus
from math import ceil

from content.denylists import Denied
from content.errors import ContentError, LimitExceeded, NotFound
from edge.cache.loader import Unavailable
from edge.gateway import pages
from edge.gateway.access import CannotTell
from edge.gateway.headers import CORS
from edge.gateway.reader import NotHeld
from edge.http.problem import Problem
from edge.replies import Asked, Reply, denied

logger = logging.getLogger("rim.edge")
EXPECTED = (Problem, Denied, NotHeld, CannotTell, Unavailable, ContentError)
_RETRY = (("Retry-After", "5"),)


def told(asked: Asked, error: Exception) -> Reply:
    """The answer to a request that met one of EXPECTED."""
    problem = _problem(asked, error)
    html = problem.html
    if html is None and b"text/html" in asked.fields.get(b"accept", b""):
        html = pages.error(problem.status, HTTPStatus(problem.status).phrase, problem.detail)
    said = Problem(problem.status, problem.detail, headers=(*problem.headers, *CORS), html=html)
    reply = Reply.of(said)
    return replace(reply, body=b"") if asked.method == "HEAD" else reply


def _problem(asked: Asked, error: Exception) -> Problem:
    match error:
        case Problem():
            return error
        case Denied():
            return denied(error.refusal)
        case NotHeld():
            return Problem(412, "It is not here, and only-if-cached asks nobody else.")
        case CannotTell():
            return Problem(504, f"Whether this may be shown is not known: {error}.", headers=_RETRY)
        case Unavailable() if error.absent:
            return Problem(404, f"The block {error.cid} is nowhere to be had.", headers=_RETRY)
        case Unavailable() if error.rest is not None:
            rest = (("Retry-After", str(max(1, ceil(error.rest)))),)
            return Problem(503, f"The origin is busy, and nobody else holds {error.cid}.", headers=rest)
        case Unavailable():
            return Problem(504, f"Nobody who holds {error.cid} could be reached in time.", headers=_RETRY)
        case NotFound():
            return Problem(404, f"There is nothing at this path: {error}.")
        case _:
            logger.info("%s: %s", asked.target, error)
            status = 413 if isinstance(error, LimitExceeded) else 502
            return Problem(status, f"What stands here cannot be answered: {error}.")
