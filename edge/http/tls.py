"""TLS: the certificate that the public listener shows, and how a new one takes its place.

Here lives the pair of certificate and key, as one context that the listener keeps from its start to its end. Not here:
getting certificates (a tool of its own writes the files), nor when they are read again (edge/serving: SIGHUP).

Each handshake is handed to the newest pair that could be read, and a connection keeps what it began with. A pair is
taken whole or not at all: contexts of OpenSSL are left broken by a key that does not fit, so every pair gets a new one.
"""

from __future__ import annotations

import logging
import ssl
import time
from collections.abc import Callable
from pathlib import Path

from cryptography import x509

logger = logging.getLogger("rim.edge")


class TLSError(Exception):
    """No pair to serve with. The text names the file and says what would do."""


class Keys:
    """A certificate (with its chain, PEM) and its key, and the context to listen with. Raises TLSError."""

    def __init__(self, cert: Path, key: Path, clock: Callable[[], float] = time.time) -> None:
        self._cert, self._key = cert, key
        self._clock = clock
        self._newest, self._end = self._read()
        self.errors = 0  # pairs that could not be read, and left the last one in place
        self.context = self._newest
        self.context.sni_callback = self._hand_over  # asked by OpenSSL for clients without SNI as well

    @property
    def seconds_left(self) -> float:
        """Until the certificate ends; below 0 it has."""
        return self._end - self._clock()

    def reload(self) -> bool:
        """Read the files again; whether the new pair took the old one's place."""
        try:
            self._newest, self._end = self._read()
        except TLSError as error:
            self.errors += 1
            logger.error("the certificate served so far stays: %s", error)
            return False
        return True

    def _hand_over(self, connection: ssl.SSLObject | ssl.SSLSocket, name: str, context: ssl.SSLContext) -> None:
        connection.context = self._newest

    def _read(self) -> tuple[ssl.SSLContext, float]:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_alpn_protocols(["http/1.1"])  # HTTP/2 is a proxy's
        try:
            leaf = x509.load_pem_x509_certificates(self._cert.read_bytes())[0]
            self._key.read_bytes()  # OpenSSL does not say which of two files it could not open
            context.load_cert_chain(self._cert, self._key, _no_passphrase)
        except ssl.SSLError as error:
            what = error.reason or error
            raise TLSError(f"{self._cert} and {self._key} are no pair of PEM certificate and key: {what}") from error
        except OSError as error:
            raise TLSError(f"{error.filename or self._cert}: {error.strerror or error}") from error
        except ValueError as error:
            raise TLSError(f"{self._cert} and {self._key}: {error}") from error
        return context, leaf.not_valid_after_utc.timestamp()

    def __repr__(self) -> str:
        return f"<Keys {self._cert}>"


def _no_passphrase() -> str:
    """Else OpenSSL would ask for one on the terminal, and wait."""
    raise ValueError("the key has a passphrase, and nobody is here to type it: give one without (mode 0600)")
