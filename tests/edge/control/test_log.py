"""The access log: its two forms, which nothing in a request can break out of, and its way to a file or a pipe."""

from __future__ import annotations

import asyncio
import json
import os
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.control.log import NOTES_MAX, AccessLog, Combined, Json, Note
from edge.counting import Told
from edge.http.outcome import Outcome
from tests.kit.nodes import until

AT = 1795551536.25  # 2026-11-24 20:18:56 UTC
LINE = re.compile(rb'(\S+) - - \[([^]"]+)\] "(\S+) ([^" ]*) HTTP/1\.1" (\d{3}) (\d+) "([^"]*)" "([^"]*)"\n')


def told(target: bytes = b"/a?b=c", client: str = "192.0.2.7", **fields: bytes) -> Told:
    sent = [(b"host", b"a.test"), *((name.replace("_", "-").encode(), value) for name, value in fields.items())]
    return Told(client, "demo", "GET", b"a.test", target, 200, 5, Outcome.HIT, sent)


def note(target: bytes = b"/a?b=c", referer: bytes = b"", agent: bytes = b"", client: str = "192.0.2.7") -> Note:
    return Note(AT, client, "demo", "GET", b"a.test", target, 200, 5, Outcome.HIT, referer, agent)


def test_combined() -> None:
    """As Apache and nginx write it, with `-` for what is not there."""
    line = Combined()(note(agent=b"curl/8", referer=b"https://b.test/"))
    assert line == (
        b'192.0.2.7 - - [24/Nov/2026:20:18:56 +0000] "GET /a?b=c HTTP/1.1" 200 5 "https://b.test/" "curl/8"\n'
    )
    assert Combined()(note(client="2001:db8::7")).startswith(b"2001:db8::7 - - [")
    assert Combined()(note()).endswith(b' "-" "-"\n')
    refused = note()._replace(method="", host=b"", target=b"", status=400)
    assert Combined()(refused) == b'192.0.2.7 - - [24/Nov/2026:20:18:56 +0000] "-" 400 5 "-" "-"\n'


ESCAPED = [  # what nginx 1.22 writes for these
    (b'a"b', b"a\\x22b"),
    (b"a\\b", b"a\\x5Cb"),
    (b"a\nb\r", b"a\\x0Ab\\x0D"),
    (b"\x1b[31m", b"\\x1B[31m"),
    (b"\x00\x1f\x7f\x80\xff", b"\\x00\\x1F\\x7F\\x80\\xFF"),
    ("é".encode(), b"\\xC3\\xA9"),
    (b"a b'c", b"a b'c"),
]


@pytest.mark.parametrize(("text", "escaped"), ESCAPED)
def test_combined_escapes_as_nginx_does(text: bytes, escaped: bytes) -> None:
    """Quote, backslash, controls and whatever is not ASCII."""
    found = LINE.fullmatch(Combined()(note(agent=text)))
    assert found is not None
    assert found[8] == escaped


@given(st.binary(max_size=60), st.binary(max_size=60), st.binary(max_size=60))
def test_no_request_forges_a_line(target: bytes, referer: bytes, agent: bytes) -> None:
    """Whatever it holds: one line, its fields where they belong, printable ASCII."""
    for form in (Combined(), Json("edge-1")):
        line = form(note(target.replace(b" ", b""), referer, agent))
        assert line.count(b"\n") == 1
        assert all(0x20 <= byte < 0x7F for byte in line[:-1])
    assert LINE.fullmatch(Combined()(note(target.replace(b" ", b""), referer, agent)))
    row = json.loads(Json("edge-1")(note(target, referer, agent)))
    assert (row["target"], row["referer"]) == (("a.test" + target.decode("latin-1")), referer.decode("latin-1"))
    assert (row["agent"], row["client"], row["site"]) == (agent.decode("latin-1"), "192.0.2.7", "demo")


def test_json() -> None:
    """Every name, as it was and what came to it."""
    assert json.loads(Json("edge-1")(note())) == {
        "time": AT, "edge": "edge-1", "client": "192.0.2.7", "site": "demo", "method": "GET", "target": "a.test/a?b=c",
        "status": 200, "bytes": 5, "outcome": "hit", "referer": "", "agent": "",
    }  # fmt: skip


@contextmanager
def logging_to(path: Path, form: str = "json") -> Iterator[AccessLog]:
    log = AccessLog(form, "edge-1", path, lambda: AT)
    try:
        yield log
    finally:
        log.close()


def targets(path: Path) -> list[str]:
    return [json.loads(line)["target"].removeprefix("a.test") for line in path.read_text().splitlines()]


def test_all_that_was_told_is_written_in_order(tmp_path: Path) -> None:
    """While it runs, and what is left when it closes."""
    path = tmp_path / "access.log"

    async def run(log: AccessLog) -> None:
        running = asyncio.create_task(log.run())
        for n in range(3000):
            log.tell(told(b"/%d" % n))
        while len(path.read_bytes().splitlines()) < 3000:
            await asyncio.sleep(0.02)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    with logging_to(path) as log:
        asyncio.run(run(log))
        for n in range(3000, 3100):
            log.tell(told(b"/%d" % n))
    assert targets(path) == [f"/{n}" for n in range(3100)]
    assert log.lost == 0
    assert path.stat().st_mode & 0o777 == 0o640


def test_what_a_line_takes_of_a_request(tmp_path: Path) -> None:
    """Referer and User-Agent; of each, and of the target, so much that memory is bounded."""
    path = tmp_path / "access.log"
    with logging_to(path) as log:
        log.tell(told(b"/" + b"x" * 8000, referer=b"r" * 8000, user_agent=b"u" * 8000))
    row = json.loads(path.read_text())
    assert [len(row[name]) for name in ("target", "referer", "agent")] == [2048 + len("a.test"), 1024, 1024]


def test_a_rotated_file(tmp_path: Path) -> None:
    """Moved away, and opened anew when told: no line is lost, none is in both."""
    path, old = tmp_path / "access.log", tmp_path / "access.log.1"
    with logging_to(path) as log:
        log.tell(told(b"/1"))
        asyncio.run(_briefly(log))
        until("the first line", lambda: targets(path) == ["/1"])
        path.rename(old)
        log.tell(told(b"/2"))
        asyncio.run(_briefly(log))
        until("the second, in the old file", lambda: targets(old) == ["/1", "/2"])
        log.reopen()
        log.tell(told(b"/3"))
    assert (targets(old), targets(path)) == (["/1", "/2"], ["/3"])


def test_a_file_that_cannot_be_opened_anew(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The one that is open stays, and it is said."""
    folder = tmp_path / "logs"
    folder.mkdir()
    path = folder / "access.log"
    with logging_to(path) as log:
        folder.rename(tmp_path / "gone")
        log.reopen()
        log.tell(told(b"/1"))
    assert targets(tmp_path / "gone" / "access.log") == ["/1"]
    assert "the file that is open stays" in caplog.text


def test_a_file_that_cannot_be_opened(tmp_path: Path) -> None:
    """Said at the start."""
    with pytest.raises(OSError, match="No such file"):
        AccessLog("json", "edge-1", tmp_path / "nowhere" / "access.log")


async def _briefly(log: AccessLog) -> None:
    """Let it write all that waits."""
    running = asyncio.create_task(log.run())
    while log._notes or log._lines:
        await asyncio.sleep(0.02)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


def piped() -> tuple[AccessLog, int]:
    """A log whose file is a pipe that nobody reads yet, and the end to read from."""
    read, write = os.pipe()
    log = AccessLog("json", "edge-1", Path(f"/proc/self/fd/{write}"), lambda: AT)
    os.close(write)
    return log, read


def test_a_sink_that_blocks_holds_up_nobody() -> None:
    """A full pipe: telling stays quick, what finds no room is counted; what is read later are whole lines in order,
    and with the lost ones they are all that was told."""
    total = NOTES_MAX * 3

    async def run(log: AccessLog) -> None:
        running = asyncio.create_task(log.run())
        for n in range(total):
            log.tell(told(b"/%d" % n))
            if n % 1000 == 0:
                await asyncio.sleep(0)
        while log.sink.is_free:
            await asyncio.sleep(0.02)
        assert log.lost > 0
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    log, read = piped()
    asyncio.run(run(log))
    with open(read, "rb") as end, ThreadPoolExecutor(1) as threads:
        reading = threads.submit(end.read)
        log.close(30)
        rows = [json.loads(line)["target"] for line in reading.result(30).splitlines()]
    assert len(rows) + log.lost == total
    assert rows == sorted(rows, key=lambda target: int(target.rpartition("/")[2]))


def test_a_sink_that_is_gone(caplog: pytest.LogCaptureFixture) -> None:
    """Nobody will ever read: the lines are counted as lost, it is said once, and the log closes."""
    log, read = piped()
    os.close(read)
    for n in range(1200):
        log.tell(told(b"/%d" % n))
    log.close()
    assert log.lost == 1200
    assert caplog.text.count("Broken pipe") == 1
