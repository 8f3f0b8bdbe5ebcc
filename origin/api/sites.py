"""Handlers of sites: list, show, create, change, remove, their releases, rollback, purge, the worker's switch.

Here lives only the way from a request to a change and back. Not here: what the changes do (origin/changes).
"""

from __future__ import annotations

import asyncio
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from content.catalog import Site, check_site_name
from origin import changes, quota
from origin.api.asking import allowed, body_json, origin_of, settings_field, text_field, texts, token_of, who
from origin.errors import BadRequest, Forbidden
from origin.log import By, Entry
from origin.staging import answer
from origin.tokens import Token
from origin.world import Draft


async def index(request: Request) -> Response:
    """GET /api/v1/sites"""
    token, origin = token_of(request), origin_of(request)
    sites = origin.catalog.world.sites
    seen_by = [sites[name] for name in sorted(sites) if token.sees(name)]
    return JSONResponse({"sites": await asyncio.to_thread(lambda: [origin.views.site(site) for site in seen_by])})


async def show(request: Request) -> Response:
    """GET /api/v1/sites/{name}"""
    return JSONResponse(origin_of(request).views.site(seen(request)))


async def releases(request: Request) -> Response:
    """GET /api/v1/sites/{name}/releases?costs=1"""
    origin = origin_of(request)
    rows = origin.views.releases(seen(request))
    if "costs" in request.query_params:
        alone = {str(release): size for release, size in (await asyncio.to_thread(origin.costs.alone)).items()}
        rows = [{**row, "alone": alone.get(row["release"])} for row in rows]
    return JSONResponse({"releases": rows})


async def put(request: Request) -> Response:
    """PUT /api/v1/sites/{name}: hosts and settings as given, what is not given is empty."""
    body = await body_json(request)
    return await _configure(request, texts(body, "hosts"), settings_field(body) or {}, body, create=True)


async def patch(request: Request) -> Response:
    """PATCH /api/v1/sites/{name}: what is given changes; a setting of null goes."""
    token, body = allowed(request, "publish", _name(request)), await body_json(request)
    hosts = texts(body, "hosts") if "hosts" in body else None
    given = settings_field(body)
    if given is None:
        return await _configure(request, hosts, None, body, create=False)
    _known(token, request)
    merged = {**origin_of(request).catalog.world.site(_name(request)).settings, **given}
    settings = {key: value for key, value in merged.items() if value is not None}
    return await _configure(request, hosts, settings, body, create=False)


async def delete(request: Request) -> Response:
    """DELETE /api/v1/sites/{name}: its releases become garbage; its key stays, so the IPNS name would be the same."""
    name = _name(request)
    by = who(allowed(request, "publish", name), await body_json(request))

    def change(draft: Draft) -> None:
        draft.drop(name)
        draft.note(Entry(name, "remove", by=by))

    done = await origin_of(request).catalog.submit(change)
    return JSONResponse({"sequence": done.sequence})


async def rollback(request: Request) -> Response:
    """POST /api/v1/sites/{name}/rollback"""
    name = _name(request)
    token = allowed(request, "publish", name)
    body = await body_json(request)
    wanted = None if body.get("release") is None else text_field(body, "release")
    return JSONResponse(await origin_of(request).staging.rollback(name, wanted, who(token, body)))


async def purge(request: Request) -> Response:
    """POST /api/v1/sites/{name}/purge"""
    name = _name(request)
    token = allowed(request, "purge", name)
    body = await body_json(request)
    floors = [("path", path) for path in texts(body, "paths")]
    floors += [("prefix", prefix) for prefix in texts(body, "prefixes")]
    floors += [("tag", tag) for tag in texts(body, "tags")]
    floors += [("site", "")] if body.get("all") is True else []
    soft, browsers = body.get("soft") is True, body.get("browsers") is True
    if not floors and not browsers:
        raise BadRequest("nothing to purge: give paths, prefixes, tags, all or browsers")
    if any(kind in ("path", "prefix") and not value.startswith("/") for kind, value in floors):
        raise BadRequest("paths and prefixes begin with '/'")
    return JSONResponse(await origin_of(request).staging.purge(name, floors, who(token, body), soft, browsers))


async def put_worker(request: Request) -> Response:
    """PUT /api/v1/sites/{name}/worker: `on`, whether browsers get the service worker of the releases that have one."""
    name, origin = _name(request), origin_of(request)
    token = allowed(request, "publish", name)
    body = await body_json(request)
    on = body.get("on")
    if not isinstance(on, bool):
        raise BadRequest("on: true or false")
    by = who(token, body)

    def change(draft: Draft) -> Site:
        draft.note(Entry(name, f"worker {'on' if on else 'off'}", by=by))
        return draft.put(changes.switch_worker(draft.site(name), on))

    done = await origin.catalog.submit(change)
    return JSONResponse({**answer(done), "worker": await asyncio.to_thread(origin.views.worker, done.value)})


async def _configure(
    request: Request, hosts: list[str] | None, settings: dict[str, Any] | None, body: dict[str, Any], create: bool
) -> Response:
    name, origin = _name(request), origin_of(request)
    token = allowed(request, "publish", name)
    world, by = origin.catalog.world, who(token, body)
    if create and name not in world.sites:
        check_site_name(name)
        quota.check_stage(token, world, origin.store, name, 0)

    def change(draft: Draft) -> tuple[Site, bool]:
        new, old = name not in draft.sites, draft.site(name, or_new=create)
        site = draft.put(changes.configure(old, hosts, settings))
        draft.note(_configured(old, site, new, by))
        return site, new

    done = await origin.catalog.submit(change)
    site, new = done.value
    return JSONResponse({**origin.views.site(site), "sequence": done.sequence}, 201 if new else 200)


def _configured(old: Site, site: Site, new: bool, by: By) -> Entry:
    """What was configured. Settings by name only: a value may be nobody's business (a password's hash)."""
    names = [key for key in {**old.settings, **site.settings} if old.settings.get(key) != site.settings.get(key)]
    detail: dict[str, Any] = {"hosts": list(site.hosts)} if site.hosts != old.hosts else {}
    detail |= {"settings": sorted(names)} if names else {}
    return Entry(site.name, "create" if new else "configure", detail, by)


def _name(request: Request) -> str:
    name: str = request.path_params["name"]
    return name


def seen(request: Request) -> Site:
    """The site asked for, if the token may see it."""
    token, name = token_of(request), _name(request)
    _known(token, request)
    return origin_of(request).catalog.world.site(name)


def _known(token: Token, request: Request) -> None:
    if not token.sees(_name(request)):
        raise Forbidden(f"token {token.name!r} is not for site {_name(request)!r}", site=_name(request))
