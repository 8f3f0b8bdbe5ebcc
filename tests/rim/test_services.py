"""`rim service`, and --service of `rim pin`, `rim unpin` and `rim pins`: a real origin, a service on a socket."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator

import pytest

from content.cid import CID, RAW
from tests.kit.nodes import RIM, until
from tests.kit.pinservice import TOKEN, PinService
from tests.rim.conftest import Shell, site_folder

CIDS = [CID.of(RAW, b"a file that is not at this origin, %d" % number) for number in range(4)]


@pytest.fixture
def service(user: Shell) -> Iterator[PinService]:
    """A service, and nothing of it left at the shared origin afterwards."""
    with PinService().serving() as made:
        yield made
        for known in user.result("service", "list")["services"]:
            user.result("service", "remove", known["name"])


def add(user: Shell, service: PinService, *flags: object) -> subprocess.CompletedProcess[str]:
    return user.rim("service", "add", "far", "--endpoint", service.url, *flags, RIM_SERVICE_TOKEN=TOKEN)


def test_a_service_comes_changes_and_goes(user: Shell, service: PinService) -> None:
    """Added, listed, changed in each of its settings, removed; the token is in nothing that is printed."""
    added = add(user, service, "--site", "docs", "--keep", "2", "--hint", "/ip4/203.0.113.7/tcp/4001/p2p/12D3Ours")
    assert (added.returncode, added.stdout) == (0, "added far: only what is asked for\n")
    again = add(user, service)
    assert (again.returncode, "rim service set" in again.stderr) == (3, True)
    (found,) = user.result("service", "list")["services"]
    assert (found["sites"], found["keep"], found["auto"]) == (["docs"], 2, False)
    assert found["hints"] == ["/ip4/203.0.113.7/tcp/4001/p2p/12D3Ours"]
    assert user.rim("service", "set", "far", "--auto").stdout == "far: live releases of docs, 2 each\n"
    changed = user.result("service", "set", "far", "--site", "*", "--keep", "1", "--hint", "")
    assert (changed["sites"], changed["keep"], changed["hints"], changed["auto"]) == ("*", 1, [], True)
    assert user.rim("service", "set", "far").returncode == 2
    assert user.rim("service", "set", "near", "--auto").returncode == 3
    printed = [added, again, *(user.rim(*words) for words in (("service", "list"), ("status",), ("pins",)))]
    assert not [done for done in printed if TOKEN in done.stdout + done.stderr]
    removed = user.rim("service", "remove", "far").stdout  # sites of other plays may be pinned there
    assert removed.splitlines()[0].partition(";")[0] == "removed far"
    gone = user.rim("service", "remove", "far")
    assert (gone.returncode, "rim service list" in gone.stderr) == (3, True)


def test_where_the_token_comes_from(user: Shell, service: PinService) -> None:
    """A file, standard input, the environment; never a flag; and what is none is said so before anything is asked."""
    file = user.home / "token"
    add_far = ("service", "add", "far", "--endpoint", service.url)
    assert user.rim(*add_far).returncode == 2, "no terminal to ask on"
    assert user.rim(*add_far, "--token", TOKEN).returncode == 2
    for bad, said in ((b"", "empty"), (b" \n", "empty"), (b"\xff\xfe", "ASCII"), (b"x" * 20_000, "too long")):
        file.write_bytes(bad)
        refused = user.rim(*add_far, "--token-file", file)
        assert (refused.returncode, said in refused.stderr) == (2, True), bad
    assert user.rim(*add_far, "--token-file", user.home / "nothing").returncode == 2
    two = user.rim(*add_far, RIM_SERVICE_TOKEN="two words")
    assert (two.returncode, "printable ASCII" in two.stderr) == (3, True)
    file.write_text("wrong-token\n")
    assert user.rim(*add_far, "--token-file", file).returncode == 0
    user.rim("pin", CIDS[0], "--service", "far")
    until("it is denied", lambda: user.result("service", "list")["services"][0]["state"] == "denied")
    piped = subprocess.run(
        [*RIM, "service", "set", "far", "--token-file", "-"],
        env=user.environment({}), input=TOKEN + "\n", capture_output=True, text=True, timeout=120, cwd=user.home,
    )  # fmt: skip
    assert piped.returncode == 0, piped.stderr
    assert user.result("pin", CIDS[0], "--service", "far", "--wait")["status"] == "pinned"
    user.rim("unpin", CIDS[0], "--service", "far")


def test_pins_at_a_service(user: Shell, service: PinService) -> None:
    """Pinned with and without waiting, listed with states and reasons, refused, unpinned."""
    add(user, service)
    done = user.rim("pin", CIDS[1], "--service", "far", "--name", "the file", "--wait")
    assert (done.returncode, done.stdout) == (0, f"{CIDS[1]} at far: pinned\n"), done.stderr
    service.becomes = "failed"
    failed = user.rim("pin", CIDS[2], "--service", "far", "--wait")
    assert (failed.returncode, "the service could not pin it" in failed.stderr) == (1, True)
    service.becomes = "queued"
    slow = user.rim("pin", CIDS[3], "--service", "far", "--wait", "--timeout", "0.2")
    assert (slow.returncode, "not pinned at far yet" in slow.stderr) == (4, True)
    until("it is asked for", lambda: service.posted[str(CIDS[3])])
    rows = {pin["cid"]: pin for pin in user.result("pins", "--service", "far")["pins"]}
    assert [rows[str(cid)]["status"] for cid in CIDS[1:3]] == ["pinned", "failed"]
    assert rows[str(CIDS[1])]["name"] == "the file"
    text = user.rim("pins", "--service", "far").stdout
    assert text.splitlines()[0].split() == ["CID", "NAME", "STATUS", "ERROR"]
    assert "1 pinned" in user.rim("status").stdout
    assert user.rim("pin", CIDS[1], "--wait").returncode == 2
    assert user.rim("pin", "nonsense", "--service", "far").returncode == 2
    assert user.rim("pin", CIDS[1], "--service", "near").returncode == 3
    assert user.rim("service", "check", "far").returncode == 0
    removed = user.result("service", "remove", "far", "--unpin")
    assert removed["leaving"] is True
    until("all are gone", lambda: not user.result("service", "list")["services"])
    assert service.pins == {}


def test_a_live_release_of_the_command_line(user: Shell, service: PinService) -> None:
    """`rim publish` and nothing else: the Root that it prints is what stands at the service."""
    add(user, service, "--auto", "--site", "pinned-site")
    folder = site_folder(user.home / "pinned-site")
    root = user.result("publish", folder, "--site", "pinned-site")["root"]
    service.wait("it is pinned", lambda: service.of(root))
    assert service.standing() == [(root, "rim/pinned-site")]
    text = json.dumps([(asked.query, asked.body) for asked in service.asked])
    assert user.result("sites")["sites"][0]["live"]["release"] not in text
