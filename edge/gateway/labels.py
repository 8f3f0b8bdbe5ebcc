"""Labels: names as DNS labels, and back.

Here live a CID's spelling in a subdomain, and DNSLink names inlined into one label. Not here: which host they stand
before (edge/gateway/hosts), the spellings of keys and domains (edge/names/spelling), what they lead to (edge/names).

Spec: https://specs.ipfs.tech/http-gateways/subdomain-gateway/#host-request-header
"""

from __future__ import annotations

import re

from content.cid import CID

LABEL = 63  # RFC 1035 §2.3.4
TOO_LONG = f"CID incompatible with DNS label length limit of {LABEL}"
_BASE32 = re.compile(r"[bB][a-zA-Z2-7]+\Z")
_BASE36 = re.compile(r"[kK][a-zA-Z0-9]+\Z")


class TooLong(ValueError):
    """A name that is good, but that no DNS label can hold."""


def of_cid(cid: CID) -> str:
    """The CID as a label: base32, or base36 where that alone fits. Raises TooLong."""
    text = str(cid.v1)
    if len(text) > LABEL:
        text = cid.base36()
    if len(text) > LABEL:
        raise TooLong(TOO_LONG)
    return text


def check_length(text: str) -> None:
    """Raises TooLong for text that is written like a CID and that no base could bring down to a label, whatever its
    hash function: then its length is what is wrong with it."""
    bits = 5 * len(text) if _BASE32.match(text) else 5.17 * len(text) if _BASE36.match(text) else 0
    if bits / 5.17 > LABEL + 1:
        raise TooLong(TOO_LONG)


def inlined(domain: str) -> str:
    """`en.wikipedia-on-ipfs.org` as one label, `en-wikipedia--on--ipfs-org`. Raises TooLong."""
    text = domain.replace("-", "--").replace(".", "-")
    if len(text) > LABEL:
        raise TooLong(f"DNSLink name incompatible with DNS label length limit of {LABEL}")
    return text


def domain_of(label: str) -> str:
    """The domain that was inlined; text with dots is one as it stands."""
    return label if "." in label else label.replace("--", "\0").replace("-", ".").replace("\0", "-")
