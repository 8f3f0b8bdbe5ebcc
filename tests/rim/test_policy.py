"""Policies: which Content-Security-Policy keeps the worker of a site away, and that `rim check` says so."""

from __future__ import annotations

import pytest

from rim.policy import forbidding
from tests.rim.conftest import Shell, site_folder


@pytest.mark.parametrize(
    ("policy", "directive"),
    [
        ("default-src 'self'", None),
        ("default-src *; script-src https:", None),
        ("script-src 'self' 'unsafe-inline'; worker-src 'self'", None),
        ("img-src 'none'", None),
        ("", None),
        ("default-src 'none'", "default-src"),
        ("default-src 'self'; script-src https://cdn.example 'sha256-AAAA'", "script-src"),
        ("script-src 'self' 'nonce-a' 'strict-dynamic'", "script-src"),
        ("script-src 'self'; WORKER-SRC 'none'", "worker-src"),
        ("script-src 'self'; child-src https://frames.example", "child-src"),
        ("default-src 'self', script-src-elem 'none'", "script-src-elem"),
    ],
)
def test_what_a_policy_forbids(policy: str, directive: str | None) -> None:
    """By the directive that counts; of several policies each must allow it."""
    assert forbidding(policy) == directive


def test_a_policy_against_the_worker(shell: Shell) -> None:
    """A warning at the table; without a worker a policy is nobody's business here."""
    headers = "/*\n  Content-Security-Policy: default-src 'self'; script-src https://cdn.example\n"
    folder = site_folder(shell.home / "site", {"index.html": "<p>", "_headers": headers})
    assert shell.result("check", "site")["findings"] == []
    (folder / "rim.toml").write_text("[service_worker]\n")
    (finding,) = shell.result("check", "site")["findings"]
    assert (finding["level"], finding["line"]) == ("warning", 1)
    assert "script-src refuses" in finding["message"]
    assert "add 'self'" in finding["message"]
