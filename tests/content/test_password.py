"""Password hashes: what is read, what is refused, and what a try may cost."""

from __future__ import annotations

import pytest

from content.errors import ContentError, LimitExceeded
from content.limits import PASSWORD_BYTES
from content.password import BadPassword, Password

SALT = "AAAAAAAAAAAAAAAAAAAAAA"
HASH = "A" * 43


def test_a_secret_and_its_hash() -> None:
    """The text form carries all that is needed to know the secret again, and nothing of it."""
    made = Password.make("correct horse ü", b"0123456789abcdef")
    assert str(made).startswith("scrypt$16384$8$1$")
    again = Password.parse(str(made))
    assert again == made
    assert again.matches("correct horse ü")
    assert not again.matches("correct horse u")
    assert not again.matches("")


def test_rfc_7914_vector() -> None:
    """RFC 7914 §12, the first 32 bytes of its third vector."""
    digest = "7023bdcb3afd7348461c06cd81fd38ebfda8fbba904f8e3ea9b543f6545da1f2"
    assert Password(16384, 8, 1, b"SodiumChloride", bytes.fromhex(digest)).matches("pleaseletmein")


BAD = [
    ("hunter2", "SALT"),
    ("", "SALT"),
    (f"bcrypt$2$8$1${SALT}${HASH}", "SALT"),
    (f"scrypt$16384$8$1${SALT}", "SALT"),
    (f"scrypt$16384$8$1${SALT}${HASH}$", "SALT"),
    (f"scrypt$16383$8$1${SALT}${HASH}", "power of two"),
    (f"scrypt$1$8$1${SALT}${HASH}", "power of two"),
    (f"scrypt$0$8$1${SALT}${HASH}", "whole numbers"),
    (f"scrypt$-2$8$1${SALT}${HASH}", "whole numbers"),
    (f"scrypt$1e4$8$1${SALT}${HASH}", "whole numbers"),
    (f"scrypt$٢$8$1${SALT}${HASH}", "whole numbers"),
    (f"scrypt$32768$9$1${SALT}${HASH}", "R: 9 is over"),
    (f"scrypt$65536$8$1${SALT}${HASH}", "N: 65,536 is over"),
    (f"scrypt$16384$8$3${SALT}${HASH}", "P: 3 is over"),
    (f"scrypt$16384$8$1$!!!!${HASH}", "salt"),
    (f"scrypt$16384$8$1$AAAA${HASH}", "salt must have"),
    (f"scrypt$16384$8$1${SALT}$AAAA", "hash must have"),
    (f"scrypt$16384$8$1${SALT}=={HASH}", "SALT"),
    (f"scrypt$16384$8$1${SALT}${HASH}=", "hash is no base64url"),
    (f"scrypt$16384$8$1${SALT}${HASH[:-1]}B", "hash is no base64url"),
]


@pytest.mark.parametrize(("text", "why"), BAD, ids=range(len(BAD)))
def test_what_is_no_hash(text: str, why: str) -> None:
    """A foreign publisher's text is refused before it costs anything, and is not repeated: it may be the secret."""
    with pytest.raises(ContentError, match=why) as fault:
        Password.parse(text)
    assert isinstance(fault.value, BadPassword | LimitExceeded)
    assert not text or text not in str(fault.value)


def test_the_highest_cost_works() -> None:
    """N 2^15, R 8, P 2 is read and can be tried."""
    assert not Password.parse(f"scrypt$32768$8$2${SALT}${HASH}").matches("x")


def test_the_length_of_a_secret() -> None:
    """1,024 bytes are hashed, 1,025 are not."""
    made = Password.make("x" * PASSWORD_BYTES, b"0123456789abcdef")
    with pytest.raises(LimitExceeded, match="bytes of a password"):
        made.matches("x" * (PASSWORD_BYTES + 1))
