"""Protocol: the wire of a listener, and the hot path. The only contact with uvicorn's internals.

Each layer adds one duty to the one below, and all that uvicorn's own class leaves open has a test by name in
tests/edge/http: `life` (time, and how a connection ends), `entry` (who is there), `reading` (bytes in, one head after
the other, through the parser), `pouring` (long answers), `hot` (plain hits, past the parser).

uvicorn 0.54, read: it cancels its keep-alive timer on every byte and arms none before the first response, sets no limit
to a head, forgets the timer of a connection that ends in a reset, and parses all of a pipelined read at once.
"""

from edge.http.protocol.hot import Protocol
from edge.http.protocol.life import make_room

__all__ = ["Protocol", "make_room"]
