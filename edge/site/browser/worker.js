// The service worker of a Rim site: the last edge, in the visitor's own browser.
//
// Here lives what it does: take a release whose manifest the site's key has signed, store its files, answer from them.
// Not here: whose key and which release (the stub /.rim/sw.js sets self.rim, then imports this file), what a page may
// ask of it (client.js), how it is switched off (off.js).
//
// What it promises. A byte that a page sees was hashed first, and the hash stands in a signed manifest, or in the Index
// that the manifest names. A page and all that it asks for are of one release, however many are published meanwhile.
// What cannot be proved is an error, never a guess; what is let by unverified (ranges, long media) is told: "passed".
//
// What it keeps is written in an order that is true wherever it stops: a manifest before the word that it is current,
// files before the word that their release is whole.
//   rim:files:N  /app-BQk3xY9z.js, /index.html?rim=<sha256>    N: the last clearing, so none happens under an open page
//   rim:state    /.rim/state          {current: for new pages, whole: the last one stored to its end, checked: when}
//                /.rim/release/<cid>  what was signed of a manifest
//                /.rim/tab/<client>   {release, at: when it began}
//
// Comments have lines of their own: they and the indentation are left out of what is sent (≤ 5 KiB with the stub).
const { key, release, clear, passed } = self.rim;
const FILES = "rim:files:" + clear;
const MIB = 1 << 20;
// What pages import of the edge's. It came with this worker, and is trusted as it is: never taken from the wire later.
const CLIENT = "/.rim/client.js";
const own = async (url) => (await caches.match(url)) ?? fetch(url);
// Not to be shown, or not to this visitor: then nobody else is asked for it.
const REFUSED = /40[13]|410|451/;
const utf8 = (text) => new TextEncoder().encode(text);
const sha256 = async (bytes) => new Uint8Array(await crypto.subtle.digest("SHA-256", bytes)).toHex();
const within = (time, promise) =>
  Promise.race([promise, new Promise((_, late) => setTimeout(late, time, Error(time)))]);
const whole = (parts) => new Blob(parts).bytes();
const manifests = new Map();
const tabs = new Map();
const loading = new Map();
const blocks = new Map();
let gateways = [];
let away = false;

// All listeners in the first turn: a browser counts no others.
addEventListener("install", (event) => event.waitUntil(install(event)));
addEventListener("activate", (event) => event.waitUntil(tidy()));
addEventListener("message", (event) => event.waitUntil(hear(event)));
addEventListener("fetch", (event) => {
  const { method, cache, mode } = event.request;
  const url = new URL(event.request.url);
  // Not ours: what changes something, other origins, questions to the HTTP cache alone, paths of the edge's own and
  // those that the site passes by.
  if (method !== "GET" || url.origin !== location.origin || cache === "only-if-cached") return;
  const pass = () => fetch(event.request);
  if (url.pathname === CLIENT) event.respondWith(own(url).catch(pass));
  else if (!url.pathname.match(passed)) event.respondWith(answer(event, mode === "navigate", url).catch(pass));
});

// --- State

const recall = async (name) => (await (await caches.open("rim:state")).match("/.rim/" + name))?.json();
const remember = async (name, value) => (await caches.open("rim:state")).put("/.rim/" + name, Response.json(value));

const places = async () => new Set((await (await caches.open(FILES)).keys()).map(({ url }) => url));

async function manifest(cid) {
  if (!manifests.has(cid)) {
    const core = await recall("release/" + cid);
    const files = core.entries.map((entry) => {
      const hash = Uint8Array.fromBase64(entry.integrity.slice(7)).toHex();
      return [entry.path, { fields: [], ...entry, hash }];
    });
    gateways = core.gateways;
    manifests.set(cid, { ...core, files: new Map(files) });
  }
  return manifests.get(cid);
}

async function tabOf(id) {
  if (!tabs.has(id)) tabs.set(id, await recall("tab/" + id));
  return tabs.get(id);
}

async function bind(id, tab) {
  tabs.set(id, tab);
  await remember("tab/" + id, tab).catch(() => {});
}

// To all pages, those too that are on their way (clients.get waits for them), or to one.
async function tell(rim, more, only) {
  const pages = (await clients.matchAll({ includeUncontrolled: true })).map(({ id }) => id);
  for (const id of only ? [only] : new Set([...pages, ...tabs.keys()])) {
    clients.get(id).then((page) => page?.postMessage({ rim, ...more }));
  }
}

// --- Releases

// The state, once it is known whether there is a newer release: asked after `check` seconds, or if this one is wanted.
// One asks at a time, whichever worker it is in: pages that open together wait for the same answer, and the worker that
// comes never writes over what the one that goes has written.
const check = (wanted) =>
  navigator.locks.request("rim", async () => {
    const state = (await recall("state")) ?? {};
    const core = await manifest(state.current).catch(() => {});
    const known = wanted ? core?.release === wanted : Math.abs(Date.now() - state.checked) < core?.check * 1000;
    if (known) return state;
    try {
      await update(state, core);
      if (away) tell("online");
      away = false;
    } catch (error) {
      if (wanted || !core) throw error;
      // An edge that answers, whatever it says, is no network that is away.
      away = !error.status;
      if (away) tell("offline");
    }
    return state;
  });

async function update(state, known) {
  let core;
  // The difference to what is here; where that does not lead to what was signed, the whole.
  for (const since of [known?.release, ""]) {
    const { bytes } = await get(`/.rim/manifest.json?since=${since ?? ""}`, 8 * MIB, { cache: "no-cache" });
    core = bytes.length ? await signed(bytes).catch(() => {}) : known;
    if (core) break;
  }
  if (!core) throw lie("/.rim/manifest.json");
  // An edge that is behind, or that plays an old manifest again, changes nothing. A rollout and live have one serial.
  if (core !== known && !(core.serial < known?.serial)) {
    await remember("release/" + core.release, core).catch(leave);
    manifests.delete(core.release);
    state.current = core.release;
  }
  state.checked = Date.now();
  await remember("state", state);
}

// A browser without room for a manifest is better off without a worker than with an old release for ever. client.js
// hears it too, and does not register again.
function leave() {
  tell("quota", { left: true });
  registration.unregister();
  throw { status: 507 };
}

// What was signed is the text that JSON.stringify makes of all but the signature: keys stay in the order of the wire.
// Each site has a key of its own, so the manifest of another is as bad as none.
async function signed(bytes) {
  const { since, drop, put, signature, ...core } = JSON.parse(new TextDecoder().decode(bytes));
  if (since) {
    core.entries = (await manifest(since)).entries.filter(({ path }) => !drop.includes(path));
    for (const [at, entry] of put) core.entries.splice(at, 0, entry);
  }
  const text = utf8("rim-manifest-v1\n" + JSON.stringify(core));
  const signer = await crypto.subtle.importKey("raw", Uint8Array.fromBase64(key), "Ed25519", false, ["verify"]);
  const good = await crypto.subtle.verify("Ed25519", signer, Uint8Array.fromBase64(signature), text);
  return good && core;
}

async function install(event) {
  const { current } = await check(release);
  await (await caches.open("rim:state")).add(CLIENT);
  const stored = await fill(await manifest(current));
  // Exact addresses of stored files that never change: the browser answers these without starting a worker. They are
  // not deleted before another worker is active, so what is not found there is never asked of the network instead.
  // By destination, because the script of a Worker has to pass here: that binds the Worker to its page's release.
  const routes = stored.flatMap(({ immutable, path, type }) => {
    const kind = type.match(/script|font|image/)?.[0];
    if (!immutable || !kind || !/^[\w/.~-]+$/.test(path)) return [];
    const condition = { urlPattern: { pathname: path, search: "" }, requestDestination: kind };
    return { condition, source: { cacheName: FILES } };
  });
  await event.addRoutes?.(routes.slice(0, 256)).catch(() => {});
  // Not beside open pages: Chromium 156 loses requests of pages whose worker is replaced under them (one deploy in two
  // on a busy machine). The worker that is there shows this release to new pages as well. What was cleared must go.
  if (!registration.active || (await old()).length) await skipWaiting();
}

const old = async () => (await caches.keys()).filter((name) => /^rim:files/.test(name) && name !== FILES);

// Stores what is missing of a release, in the manifest's order: what a page needs first. Gives the files that are held.
async function fill(core) {
  const cache = await caches.open(FILES);
  const held = await places();
  // Nothing that would not fit into memory whole.
  const all = [...core.files.values()].filter(({ size }) => size < 64 * MIB);
  const missing = all.filter((file) => !held.has(place(file)));
  const total = missing.length;
  let done = 0;
  let stop = navigator.connection?.saveData;
  const work = async () => {
    for (let file; !stop && (file = missing.shift()); ) {
      try {
        // A page may have asked for it meanwhile, and the worker that is there have stored it.
        if (!(await cache.match(place(file)))) {
          const { bytes, fields, ...wire } = await load(core, file, { priority: "low" });
          stop ||= !(await keep(file, bytes));
          if (stop) return;
          tell("progress", { done: done + 1, total, path: file.path, bytes: file.size, ...wire });
        }
        held.add(place(file));
        done++;
      } catch {}
    }
  };
  await Promise.all(["", "", "", "", "", ""].map(work));
  // Else who fills next goes on from here, and without a network the release before is the one to show.
  if (done === total) {
    const { release } = core;
    await navigator.locks.request("rim", async () => remember("state", { ...(await recall("state")), whole: release }));
    tell("ready", { release });
  }
  return all.filter((file) => held.has(place(file)));
}

// Deletes what no page is of and none will be. The worker before, whose routes might name it, is gone by now.
async function tidy() {
  for (const name of await old()) await caches.delete(name);
  const { current, whole } = await recall("state");
  const keep = [current, whole];
  const ids = (await clients.matchAll({ includeUncontrolled: true, type: "all" })).map(({ id }) => id);
  const cache = await caches.open("rim:state");
  const kept = async (kind) =>
    (await cache.keys()).map(({ url }) => url.split("/.rim/" + kind + "/")[1]).filter(Boolean);
  for (const id of await kept("tab")) {
    const { release, at } = await recall("tab/" + id);
    // A page that is on its way is no client yet.
    if (ids.includes(id) || Date.now() - at < 60000) keep.push(release);
    else await cache.delete("/.rim/tab/" + id);
  }
  const wanted = new Set();
  for (const cid of await kept("release")) {
    if (keep.includes(cid)) for (const file of (await manifest(cid)).files.values()) wanted.add(place(file));
    else await cache.delete("/.rim/release/" + cid);
  }
  for (const url of await places()) if (!wanted.has(url)) await (await caches.open(FILES)).delete(url);
  // Where every page is stored, what is loaded ahead would be thrown away.
  const { complete } = await manifest(current);
  await registration.navigationPreload?.[complete ? "disable" : "enable"]();
}

// --- Answers

async function answer(event, navigation, url) {
  let fault = true;
  for (const cid of await releases(event, navigation).catch(() => [])) {
    try {
      return await respond(event, navigation, url, await manifest(cid));
    } catch ({ name, status }) {
      if (REFUSED.test(status)) return new Response(null, { status });
      // TypeError and its kin are a fault of this script. What the wire does has no such name: see ask, fetched.
      fault &&= /.Error/.test(name);
    }
  }
  // Where nothing is known, or this worker is broken, all is as before the first visit.
  if (fault) throw fault;
  if (!navigation) return Response.error();
  return new Response("Not here", { status: 504 });
}

// A page is of the newest release. If nobody says in time which that is, of the last one that is stored to its end.
// All else is of the release of whoever asks: a page, or a worker, which is of the release of the page that started it.
async function releases(event, navigation) {
  if (!navigation) return [(await tabOf(event.clientId))?.release ?? (await recall("state")).current];
  tabs.set(event.resultingClientId);
  const asked = check();
  event.waitUntil(Promise.allSettled([asked, event.preloadResponse]));
  let state = await within(3000, asked).catch(() => {});
  if (!state) {
    away = true;
    state = await recall("state");
  }
  return [away ? state.whole : state.current, state.current, state.whole];
}

async function respond(event, navigation, url, core) {
  const { request, resultingClientId } = event;
  const path = decoded(url.pathname);
  if (resultingClientId) await bind(resultingClientId, { release: core.release, at: Date.now() });
  const [from, to] = core.rewrites.find(([from, , page]) => (navigation || !page) && path.match(from)) ?? [];
  let status = 200;
  let file;
  try {
    file = await find(core, path);
    const own = file && address(file.path, path, core);
    // Where two files want one address, the second keeps its name.
    if (file && own !== path && (await find(core, own))?.path === file.path) {
      return Response.redirect(encoded(own) + url.search, 308);
    }
  } catch (error) {
    // Whether there is such a file cannot be proved now: what stands in for it may, nothing else.
    if (!from) throw error;
  }
  if (!file && core.redirects) {
    // A rule may lead elsewhere. Where to is the edge's word; what is there on this site will be proved. Pages are led
    // to other hosts too where the release has rules that do ("manual": the browser follows).
    const redirect = navigation ? core.redirects : "follow";
    const there = await fetch(url, { mode: "same-origin", redirect }).catch(() => {});
    if (there?.status === 0) return there;
    if (there?.redirected) return Response.redirect(there.url);
  }
  if (!file && from) file = await find(core, path.replace(RegExp(from), to));
  if (!file && navigation) {
    status = 404;
    const pages = [core.error, ...folders(path).map((folder) => folder + "/404.html")];
    file = pages.map((page) => core.files.get(page)).find(Boolean);
  }
  if (!file) return new Response("Not here", { status: 404 });
  const stored = await (await caches.open(FILES)).match(place(file), { ignoreVary: true });
  // Parts, and what is long, are not verified; what is stored answers where the edge does not.
  if (request.headers.has("range") || (!stored && file.size > 4 * MIB && !/html|script|css|wasm|xml/.test(file.type))) {
    tell("passed", { path });
    // Unproved, and so never as another type: what the wire calls a page would be one of this site.
    const page = ({ body }) => response({ fields: [], ...file }, body);
    const there = await (navigation ? fetch(url).then(page) : fetch(request)).catch(Response.error);
    if (there.ok || !stored) return there;
  }
  if (stored) {
    served(event, file, { from: "store" });
    return status === 200 ? stored : new Response(stored.body, { status, headers: stored.headers });
  }
  const { bytes, fields, ...wire } = await load(core, file, { ready: navigation && event.preloadResponse });
  served(event, file, wire);
  if (core.files.has(file.path)) event.waitUntil(keep(file, bytes));
  return response({ fields, ...file }, bytes, status);
}

// Whether there was room for it.
const keep = async (file, bytes) =>
  (await caches.open(FILES)).put(place(file), response(file, bytes)).then(() => true, () => tell("quota"));

// As the manifest says, never as the wire said.
const response = ({ type, fields }, bytes, status) =>
  new Response(bytes, { status, headers: [...fields, ["Content-Type", type], ["X-Content-Type-Options", "nosniff"]] });

const served = (event, { path, size }, wire) =>
  tell("served", { path, bytes: size, ...wire }, event.resultingClientId || event.clientId);

// --- Paths

// Names are text, addresses are percent-encoded. An encoded slash is no slash: it is in no name, as NUL is in none.
const encoded = (path) => path.split("/").map(encodeURIComponent).join("/");
const place = ({ path, immutable, hash }) => location.origin + encoded(path) + (immutable ? "" : "?rim=" + hash);

function decoded(pathname) {
  try {
    return decodeURIComponent(pathname.replace(/%2f/gi, "%00"));
  } catch {
    return "/\0";
  }
}

// All folders that a path is in, the nearest first; "" is the last.
const folders = (path) => path.split("/").map((_, i, all) => all.slice(0, -1 - i).join("/")).slice(0, -1);

// The files that may answer under a path, as edge/site/files.py has it.
function names(path, { clean }) {
  const page = clean ? [path.replace(/\/$/, "") + ".html"] : [];
  return path.endsWith("/") ? [path + "index.html", ...page] : [path, ...page, path + "/index.html"];
}

// The address of a document that was found under this path: with or without a slash at its end.
function address(name, path, { slash }) {
  const bare = path.replace(/\/$/, "");
  const slashed = name === bare + "/index.html" ? slash !== "never" : slash === "always";
  return name === path ? path : bare + (slashed ? "/" : "") || "/";
}

// What the manifest has goes first: of a name without ending that it leaves out, no proof is asked before each page.
async function find(core, path, hops = 8) {
  if (path.includes("\0")) return;
  const all = names(path, core);
  const listed = all.find((name) => core.files.has(name));
  if (listed) return core.files.get(listed);
  // Any folder on the way may be a symlink.
  for (const name of [...all, ...folders(path)]) {
    const row = await look(core, name);
    const rest = path.slice(name.length);
    if (row?.to && hops) {
      const { pathname } = new URL(encoded(row.to + rest), location.origin + encoded(name));
      return find(core, decoded(pathname), hops - 1);
    }
    const { cid, imm: immutable, sha256 } = row ?? {};
    if (cid && !rest) return { ...row, path: name, cid: "f" + cid, immutable, hash: sha256 ?? cid.slice(-64) };
  }
}

// --- Proofs: the way through the Index (content/tree.py), each node under the hash that was computed of it.

async function look(core, name) {
  // Keys are ordered by their bytes, so they stay bytes: one character each.
  const text = String.fromCharCode(...utf8(name));
  for (let at = core.index.slice(-64); ; ) {
    // Again, if others have cleared it away meanwhile.
    while (!blocks.has(at)) await prove(core, name, at);
    const { level, rows } = decode(blocks.get(at));
    const row = level ? rows.findLast(([key]) => key <= text) : rows.find(([key]) => key === text);
    if (!level || !row) return row?.[1];
    at = row[1].slice(-64);
  }
}

async function prove(core, name, digest) {
  if (blocks.size > 999) blocks.clear();
  await ask(`/.rim/proof?path=${encodeURIComponent(name)}&release=${core.release}`, MIB, {}, async ({ bytes }) => {
    for (const section of sections(bytes)) {
      const data = section.slice(36);
      blocks.set(await sha256(data), data);
    }
    return blocks.has(digest);
  });
}

// Of a CAR: its header, then its blocks, each behind a CID of 36 bytes.
function* sections(bytes) {
  for (let at = 0; at < bytes.length; ) {
    let size = 0;
    let unit = 1;
    for (; bytes[at] > 127; unit *= 128) size += (bytes[at++] & 127) * unit;
    size += bytes[at++] * unit;
    yield bytes.subarray(at, (at += size));
  }
}

// As much of DAG-CBOR as the nodes of an Index are made of. A link is its CID in hex.
function decode(bytes) {
  let at = 0;
  const item = () => {
    const kind = bytes[at] >> 5;
    let size = bytes[at++] & 31;
    if (size > 23) {
      let left = 1 << (size - 24);
      for (size = 0; left--; ) size = size * 256 + bytes[at++];
    }
    if (kind === 2) return bytes.subarray(at + 1, (at += size)).toHex();
    if (kind === 3) return String.fromCharCode(...bytes.subarray(at, (at += size)));
    if (kind === 4) return Array.from({ length: size }, item);
    if (kind === 5) return Object.fromEntries(Array.from({ length: size }, () => [item(), item()]));
    if (kind === 6) return item();
    return kind ? size === 21 : size;
  };
  return item();
}

// --- The wire

// A file's bytes, from this edge or whoever has them; fetched once, however many ask.
function load(core, file, options) {
  const at = place(file);
  if (!loading.has(at)) loading.set(at, fetched(core, file, options).finally(() => loading.delete(at)));
  return loading.get(at);
}

async function fetched(core, { path, size, hash, immutable, cid = "f01551220" + hash }, options) {
  let tree = false;
  const good = async (answer) => {
    if (tree) {
      const leaves = [...sections(answer.bytes)].filter((section) => section[1] === 0x55);
      answer.bytes = await whole(leaves.map((leaf) => leaf.subarray(36)));
    }
    return (await sha256(answer.bytes)) === hash;
  };
  try {
    const headers = immutable ? {} : { "Rim-Release": core.release };
    return { ...(await ask(encoded(path), size, { ...options, headers }, good)), from: "edge" };
  } catch (error) {
    if (REFUSED.test(error.status)) throw error;
  }
  // A CID is the hash of one raw block, or names a tree of them, whose leaves, in order, are the file.
  tree = !cid.startsWith("f0155");
  const form = tree ? "car&car-order=dfs&car-dups=y" : "raw";
  for (const gateway of core.gateways) {
    const answer = await ask(`${gateway}/ipfs/${cid}?format=${form}`, 2 * size + MIB, {}, good).catch(() => {});
    if (answer) return { ...answer, from: "gateway:" + new URL(gateway).host };
  }
  throw Error(path);
}

// An answer that is good. Asked for twice: the first may be an old or spoilt copy in the browser's HTTP cache.
async function ask(url, limit, options, good) {
  try {
    for (const cache of ["default", "reload"]) {
      const answer = await get(url, limit, { ...options, cache });
      if (await good(answer)) return answer;
      options.ready = 0;
    }
  } catch ({ status }) {
    throw { status };
  }
  throw lie(url);
}

// Pages are told, and whoever else may be asked for the site's bytes: not the liar alone.
function lie(url) {
  const { host: at, pathname } = new URL(url, location);
  const path = decoded(pathname);
  tell("lie", { path, at });
  const report = "/.rim/report?" + new URLSearchParams({ kind: "lie", path, at });
  for (const gateway of gateways) fetch(gateway + report, { method: "POST", mode: "no-cors" }).catch(() => {});
  return Error(url);
}

// Who is silent for 10 seconds is given up; of who says more than the limit, no more is read.
async function get(url, limit, { ready, ...options } = {}) {
  const stop = new AbortController();
  try {
    let answer = await within(10000, ready);
    if (!answer?.ok) answer = await within(10000, fetch(url, { ...options, signal: stop.signal }));
    if (!answer.ok) throw answer;
    const reader = answer.body?.getReader();
    const parts = [];
    for (let part; reader && limit >= 0 && !(part = await within(10000, reader.read())).done; ) {
      parts.push(part.value);
      limit -= part.value.length;
    }
    const { transferSize: wire, contentEncoding: encoding } = performance.getEntriesByName(answer.url).at(-1) ?? {};
    // What a page that no manifest lists may do is the wire's to say, and nothing else is.
    const fields = [...answer.headers].filter(([name]) => /policy$|^x-frame/.test(name));
    return { bytes: await whole(parts), fields, wire, encoding };
  } finally {
    stop.abort();
  }
}

// --- Pages speak

async function hear({ data, source, ports }) {
  // What an install left out, because the line broke: no other comes before the next deploy (client.js asks).
  if (data.release) await fill(await manifest(data.release));
  ports[0]?.postMessage({ ...(await tabOf(source.id)), away });
}
