"""`rim deny`, `rim allow`, `rim denied` against a real origin: results as text and as JSON, and how they refuse."""

from __future__ import annotations

from pathlib import Path

import pytest

from content.cid import CID, RAW, base58
from tests.rim.conftest import Shell, site_folder

TEXT = b"what is denied " * 200
BAD = CID.of(RAW, TEXT)


def test_denied_listed_allowed(user: Shell, tmp_path: Path) -> None:
    """Each says what it did, and the list tells what is denied, since when and why; said again, it changes nothing.

    Rules are the origin's, not a site's: what other plays have denied there stands in the list too."""
    earlier = user.result("denied")["rules"]
    folder = site_folder(tmp_path / "denied")
    (folder / "bad.txt").write_bytes(TEXT)
    user.result("publish", folder)
    rule = f"/ipfs/{base58(BAD.multihash)}"
    done = user.rim("deny", BAD, "--reason", "a court said so", "--status", "451", "-m", "claim 17")
    assert (done.returncode, done.stdout) == (0, f"denied {rule} and 3 encodings of it\n")
    listed, count = user.rim("denied").stdout, f"list catalog: {len(earlier) + 4} rules"
    assert all(word in listed for word in (rule, "451", "a court said so", "encoding of", count))
    told = [row for row in user.result("denied")["rules"] if row not in earlier]
    assert (len(told), [row["rule"] for row in told if "group" not in row]) == (4, [rule])
    assert user.result("deny", BAD, "--reason", "a court said so", "--status", "451")["rules"][0] == rule
    assert "claim 17" in user.rim("log").stdout

    (folder / "more.txt").write_text("more")
    refused = user.rim("publish", folder)
    assert (refused.returncode, "/bad.txt is denied" in refused.stderr, "rim allow" in refused.stderr) == (
        3,
        True,
        True,
    )

    assert user.rim("allow", BAD).stdout == f"allowed {BAD}\n"
    assert user.rim("allow", BAD).stdout == f"{BAD} was not denied\n"
    assert user.rim("allow", BAD, "--always").stdout == f"allowed {BAD}, whatever any list says\n"
    assert f"!{rule}" in user.rim("denied").stdout
    user.result("allow", BAD)
    user.result("publish", folder)


REFUSED = {
    "no such status": (("deny", BAD, "--status", "404"), 2, "410"),
    "no words": (("deny",), 2, "CID|PATH|URL"),
    "a wait that is none": (("deny", BAD, "--wait", "some"), 2, "all"),
    "no rule": (("deny", "hello"), 3, "give a CID"),
    "no site": (("deny", "https://nobody.example/"), 3, "rim sites"),
    "no edges in time": (("deny", "//" + "ab" * 32, "--wait", "3", "--timeout", "0.2"), 4, "0 of 3 edges"),
}


@pytest.mark.parametrize(("arguments", "code", "words"), REFUSED.values(), ids=REFUSED)
def test_refusals_say_what_would_do(user: Shell, arguments: tuple[object, ...], code: int, words: str) -> None:
    """The code that the table of exits says, and what to do next."""
    done = user.rim(*arguments)
    assert (done.returncode, words in done.stderr) == (code, True), done
