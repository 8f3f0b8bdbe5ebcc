"""Front: what stands between visitors and an edge's answers as the operator set it: door, certificate, log.

Here lives their opening, their second reading (SIGHUP) and their end. Not here: what each does (edge/http/door,
edge/http/tls, edge/control/log), nor the signal (edge/serving).
"""

from __future__ import annotations

import asyncio
import logging
import ssl

from edge.config import EdgeConfig
from edge.control.log import AccessLog
from edge.counting import Log
from edge.http.door import Door, Terms
from edge.http.tls import Keys, TLSError
from edge.state import StateError

logger = logging.getLogger("rim.edge")


class Front:
    """The front of one public listener. Raises StateError where a file that it needs cannot be used."""

    def __init__(self, config: EdgeConfig) -> None:
        self.door = Door(
            Terms(
                trusted=config.trusted_proxy,
                proxy_protocol=config.proxy_protocol,
                connections=config.max_connections,
                connections_per_client=config.max_connections_per_client,
                rate_per_client=config.rate_per_client,
                rate_per_site=config.rate_per_site,
            )
        )
        self.keys = _keys(config)
        self.log = _log(config)
        self._writing: asyncio.Task[None] | None = None

    @property
    def context(self) -> ssl.SSLContext | None:
        """What to listen with; None: plain HTTP."""
        return None if self.keys is None else self.keys.context

    @property
    def hook(self) -> Log | None:
        """To be told of every answer."""
        return None if self.log is None else self.log.tell

    def start(self) -> None:
        """Begin to write the log."""
        if self.log is not None:
            self._writing = asyncio.create_task(self.log.run())

    def reload(self) -> None:
        """Read the certificate again, open the log again. What cannot be used leaves what was."""
        if self.keys is not None:
            self.keys.reload()
        if self.log is not None:
            self.log.reopen()

    async def close(self) -> None:
        """Write what is left of the log."""
        if self._writing is not None:
            self._writing.cancel()
            await asyncio.gather(self._writing, return_exceptions=True)
        if self.log is not None:
            self.log.close()

    def __repr__(self) -> str:
        return f"<Front {self.door!r} {self.keys!r} {self.log!r}>"


def _keys(config: EdgeConfig) -> Keys | None:
    if config.tls_cert is None or config.tls_key is None:
        return None
    try:
        return Keys(config.tls_cert, config.tls_key)
    except TLSError as error:
        raise StateError(f"tls: {error}") from error


def _log(config: EdgeConfig) -> AccessLog | None:
    if config.access_log == "off":
        return None
    try:
        return AccessLog(config.access_log, config.name, config.access_log_file)
    except OSError as error:
        raise StateError(f"access log: {config.access_log_file}: {error.strerror or error}") from error
