"""Opening: which store a state folder has.

Here lives the file `store.json` of the folder, which remembers what keeps its releases' blocks and where that answers,
and the choice that follows from it and the settings. Not here: the stores, or moving from one to the other
(`rim origin migrate`).
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from origin.config import KUBO_API, KUBO_GATEWAY, STORES, OriginConfig
from origin.errors import StateError
from origin.state import State, replace_file
from origin.store import Store
from origin.store.embedded import Embedded

if TYPE_CHECKING:
    from origin.store.kubo.rpc import Rpc


@dataclass(frozen=True, slots=True)
class Place:
    """Where the blocks of releases are."""

    store: str = "embedded"
    kubo_api: str = KUBO_API
    kubo_gateway: str = KUBO_GATEWAY


def open_store(state: State, config: OriginConfig) -> Store:
    """The store of this folder. Raises StateError where the setting names another than the one that has its blocks."""
    kept = remembered(state)
    place = wanted(kept or Place(), config)
    if kept is not None and kept.store != place.store:
        raise StateError(
            f"the blocks of {state.path} are in the store {kept.store!r}, not {place.store!r}: leave --store away, or "
            f"move them with `rim origin migrate --to {place.store}`"
        )
    store = make_store(state, place)
    if kept != place:
        remember(state, place)
    return store


def make_store(state: State, place: Place) -> Store:
    """A store at this place over the folder, whatever the folder remembers (migration has two)."""
    packs = Embedded(state / "packs")
    if place.store == "embedded":
        return packs
    try:
        from origin.store.kubo.keeping import KuboStore
    except ImportError as error:
        raise _without_extra(error) from error
    return KuboStore(state / "kubo", packs, kubo_at(place))


def kubo_at(place: Place) -> Rpc:
    """The Kubo of this place."""
    try:
        from origin.store.kubo.rpc import Rpc
    except ImportError as error:
        raise _without_extra(error) from error
    return Rpc(place.kubo_api, place.kubo_gateway)


def _without_extra(error: ImportError) -> StateError:
    return StateError(f"the store kubo needs its extra ({error}): pip install 'rim-cdn[kubo]'")


def wanted(kept: Place, config: OriginConfig) -> Place:
    """The place that the settings name; what they leave open is as it was."""
    store = config.store or kept.store
    if store not in STORES:
        raise StateError(f"--store {store}: there are {' and '.join(STORES)}")
    return Place(store, config.kubo_api or kept.kubo_api, config.kubo_gateway or kept.kubo_gateway)


def remembered(state: State) -> Place | None:
    """What the folder remembers; None for one that keeps nothing yet."""
    path = state / "store.json"
    try:
        return Place(**{key: str(value) for key, value in json.loads(path.read_bytes()).items()})
    except FileNotFoundError:
        return Place() if (state / "head").exists() else None  # a folder from before there was a choice
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise StateError(f"{path} cannot be read: {error}") from error


def remember(state: State, place: Place) -> None:
    """From now on the folder opens with this store and no other. Durable on return."""
    replace_file(state / "store.json", f"{json.dumps(asdict(place))}\n".encode())
