"""The certificate and its successor, with real handshakes on loopback."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from edge.http.tls import Keys, TLSError
from tests.kit.certs import Pair, make_pair

START = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)


@contextlib.asynccontextmanager
async def echoing(keys: Keys) -> AsyncIterator[int]:
    """A server that gives back each line; its port."""

    handlers: set[asyncio.Task[None] | None] = set()

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        handlers.add(asyncio.current_task())
        with contextlib.suppress(ConnectionError):
            while line := await reader.readline():
                writer.write(line)
        writer.transport.abort()

    server = await asyncio.start_server(echo, "127.0.0.1", 0, ssl=keys.context)
    async with server:
        yield server.sockets[0].getsockname()[1]
        await asyncio.gather(*(handler for handler in handlers if handler is not None))


@contextlib.asynccontextmanager
async def connected(
    port: int, name: str = "a.test", **options: ssl.TLSVersion
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(["h2", "http/1.1"])
    for option, value in options.items():
        setattr(context, option, value)
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname=name)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


def subject(writer: asyncio.StreamWriter) -> str:
    der = writer.get_extra_info("ssl_object").getpeercert(True)
    return str(x509.load_der_x509_certificate(der).subject.rfc4514_string())


async def shown(port: int, name: str = "a.test", **options: ssl.TLSVersion) -> tuple[str, str, str]:
    """The name in the certificate that is shown to a new connection, its protocol and the version of TLS."""
    async with connected(port, name, **options) as (_, writer):
        session = writer.get_extra_info("ssl_object")
        return subject(writer), session.selected_alpn_protocol(), session.version()


def test_a_successor_takes_the_place_of_the_certificate(tmp_path: Path) -> None:
    """New connections get it, with SNI or without; one that is open goes on with the old."""

    async def run() -> None:
        pair = make_pair(tmp_path, "old.test")
        keys = Keys(pair.cert, pair.key)
        async with echoing(keys) as port, connected(port) as (reader, writer):
            assert subject(writer) == "CN=old.test"
            make_pair(tmp_path, "new.test")
            assert await shown(port) == ("CN=old.test", "http/1.1", "TLSv1.3"), "nothing changes by itself"
            assert keys.reload()
            for name in ("a.test", ""):
                assert await shown(port, name) == ("CN=new.test", "http/1.1", "TLSv1.3")
            writer.write(b"still here\n")
            assert await reader.readline() == b"still here\n"

    asyncio.run(run())


def test_a_broken_successor_leaves_the_old_one(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A key of another certificate, half a file, no file: counted, told, and the old pair is shown on."""

    async def run() -> None:
        pair = make_pair(tmp_path, "old.test")
        other = make_pair(tmp_path / "other", "other.test")
        good = pair.cert.read_bytes(), pair.key.read_bytes()
        keys = Keys(pair.cert, pair.key)
        async with echoing(keys) as port:
            pair.key.write_bytes(other.key.read_bytes())
            assert not keys.reload()
            pair.key.write_bytes(good[1])
            pair.cert.write_bytes(good[0][:200])
            assert not keys.reload()
            pair.cert.unlink()
            assert not keys.reload()
            assert (await shown(port))[0] == "CN=old.test"
            assert keys.errors == 3
            assert caplog.text.count("the certificate served so far stays") == 3
            pair.cert.write_bytes(other.cert.read_bytes())
            pair.key.write_bytes(other.key.read_bytes())
            assert keys.reload()
            assert (await shown(port))[0] == "CN=other.test"

    asyncio.run(run())


def test_old_versions_are_refused(tmp_path: Path) -> None:
    """TLS 1.2 and 1.3, nothing older."""

    async def run() -> None:
        pair = make_pair(tmp_path, "a.test")
        async with echoing(Keys(pair.cert, pair.key)) as port:
            for version, number in ((ssl.TLSVersion.TLSv1_2, "TLSv1.2"), (ssl.TLSVersion.TLSv1_3, "TLSv1.3")):
                got = await shown(port, minimum_version=version, maximum_version=version)
                assert got == ("CN=a.test", "http/1.1", number)
        assert Keys(pair.cert, pair.key).context.minimum_version == ssl.TLSVersion.TLSv1_2

    asyncio.run(run())


def test_how_long_it_lasts(tmp_path: Path) -> None:
    """In seconds, from the certificate that is shown first; below 0 when it has ended."""
    pair = make_pair(tmp_path, "a.test", START, days=3)
    begin = START.timestamp()
    assert Keys(pair.cert, pair.key, lambda: begin).seconds_left == 3 * 86400
    assert Keys(pair.cert, pair.key, lambda: begin + 4 * 86400).seconds_left == -86400


def with_passphrase(pair: Pair) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([])
    cert = (
        x509.CertificateBuilder(name, name, key.public_key(), 1, START, START + datetime.timedelta(days=1))
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    pair.cert.write_bytes(cert.public_bytes(serialization.Encoding.PEM))
    locked = serialization.BestAvailableEncryption(b"secret")
    form = serialization.PrivateFormat.PKCS8
    pair.key.write_bytes(key.private_bytes(serialization.Encoding.PEM, form, locked))


BROKEN = [
    (lambda pair: pair.cert.unlink(), r"fullchain\.pem: No such file"),
    (lambda pair: pair.key.unlink(), r"privkey\.pem: No such file"),
    (lambda pair: pair.cert.write_bytes(b""), r"fullchain\.pem"),
    (lambda pair: pair.key.write_bytes(b"nonsense"), "are no pair of PEM certificate and key"),
    (lambda pair: pair.cert.write_bytes(pair.key.read_bytes()), r"fullchain\.pem"),
    (with_passphrase, "has a passphrase"),
]


@pytest.mark.parametrize(("damage", "words"), BROKEN)
def test_what_is_no_pair(tmp_path: Path, damage: object, words: str) -> None:
    """Refused at the start, naming the file, and without asking anybody for a passphrase."""
    pair = make_pair(tmp_path, "a.test")
    damage(pair)  # type: ignore[operator]
    with pytest.raises(TLSError, match=words):
        Keys(pair.cert, pair.key)
