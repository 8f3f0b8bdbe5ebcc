"""Formats: in which form content is asked for, and how each is called.

Here live the `format` parameter, the reading of Accept, and the names of each form. Not here: the bytes of a form.

`format` is stronger than Accept (IPIP-523). Of Accept only types that name a form of content count, and HTML, which
asks for what browsers get; of two the one with the higher weight, then the one that stands first.
Spec: https://specs.ipfs.tech/http-gateways/path-gateway/#accept-request-header
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType

from edge.http.problem import Problem


class Form(StrEnum):
    """A form that can be asked for. The value is that of `format`."""

    RAW = "raw"
    CAR = "car"
    TAR = "tar"
    DAG_JSON = "dag-json"
    DAG_CBOR = "dag-cbor"
    JSON = "json"
    CBOR = "cbor"
    RECORD = "ipns-record"


MEDIA_TYPES = {
    Form.RAW: "application/vnd.ipld.raw",
    Form.CAR: "application/vnd.ipld.car",
    Form.TAR: "application/x-tar",
    Form.DAG_JSON: "application/vnd.ipld.dag-json",
    Form.DAG_CBOR: "application/vnd.ipld.dag-cbor",
    Form.JSON: "application/json",
    Form.CBOR: "application/cbor",
    Form.RECORD: "application/vnd.ipfs.ipns-record",
}
_OF_TYPES = {media_type: form for form, media_type in MEDIA_TYPES.items()}
_HTML = frozenset({"text/html", "application/xhtml+xml"})
_NONE: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Asked:
    """What a request says of form. `form` None: the one that the content has by itself. `parameters`: of the media
    type that was accepted. `by_accept`: Accept alone said so. `html`: a page is welcome. `accept`: the field."""

    form: Form | None = None
    parameters: Mapping[str, str] = field(default_factory=dict)
    by_accept: bool = False
    html: bool = False
    accept: str = ""


def read(query: Mapping[str, str], accept: bytes) -> Asked:
    """The form asked for. Raises Problem for a `format` that is none."""
    text = accept.decode("latin-1")
    ranked = sorted(_accepted(text), key=lambda one: -one[2])  # stable
    html = any(name in _HTML for name, _, _ in ranked)
    best = next((one for one in ranked if one[0] in _OF_TYPES or one[0] in _HTML), None)
    name, parameters = ("", _NONE) if best is None else best[:2]
    accepted = _OF_TYPES.get(name)
    if (wanted := query.get("format")) is None:
        return Asked(accepted, parameters, accepted is not None, html, text)
    try:
        form = Form(wanted)
    except ValueError:
        known = ", ".join(Form)
        raise Problem(400, f"format {wanted[:40]!r} is not known here: use one of {known}.") from None
    return Asked(form, parameters if accepted is form else _NONE, False, html, text)


def _accepted(text: str) -> Iterator[tuple[str, Mapping[str, str], float]]:
    """(type, its parameters, weight) of each element; what cannot be read is passed over, as is a weight of 0."""
    for element in text.split(","):
        name, *rest = (part.strip() for part in element.split(";"))
        pairs = (part.partition("=") for part in rest)
        parameters = {key.strip().lower(): value.strip().strip('"').lower() for key, _, value in pairs}
        weight = _weight(parameters.pop("q", "1"))
        if name and weight > 0:
            yield name.lower(), parameters, weight


def _weight(text: str) -> float:
    try:
        return min(max(float(text), 0.0), 1.0)
    except ValueError:
        return 0.0
