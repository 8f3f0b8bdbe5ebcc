// The service worker of a Rim site: the last edge, in the visitor's own browser.
//
// Here lives what it does: take a release whose manifest the site's key has signed, store its files, answer from them.
// Not here: whose key and which release (the stub /.rim/sw.js sets self.rim, then imports this file), what a page may
// ask of it (client.js), how it is switched off (off.js).
//
// What it promises. A byte that a page sees was hashed first, and the hash is in a manifest, or in an Index that the
// manifest names. A page and all that it asks for are of one release, however many releases come meanwhile. Whatever
// cannot be proved is an error, not a guess. What is not verified is told in "passed" events: ranges, and large media.
//
// State is written so that stopping between any two steps leaves it true: files, then the manifest, then the pointer.
//   rim:files:N  /app-BQk3xY9z.js, /index.html?rim=<sha256>   N is the last clearing, so that none happens under a page
//   rim:state    /.rim/state          {current: for new pages, whole: the last one stored to the end, serial, checked}
//                /.rim/release/<cid>  the signed core of a manifest
//                /.rim/tab/<client>   {release, at}
//
// Comments stand on lines of their own: they and the indentation are left out of what is sent (5 KiB with the stub).
const { site, key, release, clear } = self.rim;
const FILES = `rim:files:${clear}`;
const MIB = 1 << 20;
const utf8 = (text) => new TextEncoder().encode(text);
const sha256 = async (bytes) => new Uint8Array(await crypto.subtle.digest("SHA-256", bytes)).toHex();
const tabs = new Map();
const manifests = new Map();
const loading = new Map();
const blocks = new Map();
let away = false;

// All listeners in the first turn: a browser counts no others.
addEventListener("install", (event) => event.waitUntil(install(event)));
addEventListener("activate", (event) => event.waitUntil(tidy()));
addEventListener("message", (event) => event.waitUntil(hear(event)));
addEventListener("fetch", (event) => {
  const { request } = event;
  const url = new URL(request.url);
  if (request.method !== "GET" || url.origin !== location.origin || url.pathname.startsWith("/.rim/")) return;
  // A question to the HTTP cache alone.
  if (request.cache === "only-if-cached") return;
  event.respondWith(request.mode === "navigate" ? visit(event, url) : serve(event, url));
});

// --- State

const recall = async (name) => (await (await caches.open("rim:state")).match(`/.rim/${name}`))?.json();
const remember = async (name, value) => (await caches.open("rim:state")).put(`/.rim/${name}`, Response.json(value));

async function manifest(cid) {
  if (!manifests.has(cid)) {
    const core = await recall(`release/${cid}`);
    const files = core.entries.map((entry) => {
      const hash = Uint8Array.fromBase64(entry.integrity.slice(7)).toHex();
      return [entry.path, { ...entry, hash, listed: true }];
    });
    manifests.set(cid, { ...core, files: new Map(files) });
  }
  return manifests.get(cid);
}

async function bind(id, release) {
  const tab = { ...tabs.get(id), release, at: Date.now() };
  tabs.set(id, tab);
  await remember(`tab/${id}`, tab).catch(() => {});
}

async function tabOf(id) {
  if (!tabs.has(id)) tabs.set(id, id ? await recall(`tab/${id}`) : undefined);
  return tabs.get(id);
}

async function tell(type, detail) {
  for (const client of await clients.matchAll({ includeUncontrolled: true })) client.postMessage({ rim: type, ...detail });
}

// --- Releases

// The state, after a look whether there is a newer release. One looks at a time, in whatever worker: pages that are
// opened together wait for the same answer, and the worker that comes never writes over the one that goes.
const check = (now) =>
  navigator.locks.request("rim", async () => {
    const state = (await recall("state")) ?? { serial: 0, checked: 0 };
    const core = state.current && (await manifest(state.current));
    if (core && !now && Math.abs(Date.now() - state.checked) < core.check * 1000) return state;
    try {
      await update(state);
      if (away) tell("online");
      away = false;
    } catch (error) {
      if (!core || now) throw error;
      away = true;
      tell("offline");
    }
    return state;
  });

async function update(state) {
  let core;
  // The difference to what is here; if that leads to nothing that is signed, the whole.
  for (const since of [state.current, ""]) {
    const { bytes } = await get(`/.rim/manifest.json?since=${since ?? ""}`, 8 * MIB, { cache: "no-cache" }, 3000);
    core = bytes.length ? await signed(bytes).catch(() => {}) : { serial: 0 };
    if (core) break;
  }
  if (!core) throw lie("/.rim/manifest.json");
  // An edge that is behind, or one that plays an old manifest again, changes nothing.
  if (core.serial > state.serial) {
    await remember(`release/${core.release}`, core);
    manifests.delete(core.release);
    state.current = core.release;
    state.serial = core.serial;
  }
  state.checked = Date.now();
  await remember("state", state);
}

// What was signed is the text that JSON.stringify makes of the core: its keys come in the order of the wire.
async function signed(bytes) {
  const { since, drop, put, signature, ...core } = JSON.parse(new TextDecoder().decode(bytes));
  if (since) {
    core.entries = (await manifest(since)).entries.filter((entry) => !drop.includes(entry.path));
    for (const [at, entry] of put) core.entries.splice(at, 0, entry);
  }
  const signer = await crypto.subtle.importKey("raw", Uint8Array.fromBase64(key), "Ed25519", false, ["verify"]);
  const text = utf8("rim-manifest-v1\n" + JSON.stringify(core));
  const good = await crypto.subtle.verify("Ed25519", signer, Uint8Array.fromBase64(signature), text);
  return good && core.site === site && core;
}

async function install(event) {
  let state = (await recall("state")) ?? {};
  if (state.current !== release) state = await check(true);
  const core = await manifest(state.current);
  const kept = await fill(core);
  // Exact addresses of files that are stored and never change: the browser answers these without starting a worker.
  const routes = kept
    .filter((file) => file.immutable && /^[\w/.~-]+$/.test(file.path))
    .map(({ path }) => ({ condition: { urlPattern: { pathname: path, search: "" } }, source: { cacheName: FILES } }));
  if (routes.length) await event.addRoutes?.(routes.slice(0, 256)).catch(() => {});
  await skipWaiting();
}

// Stores what is missing of a release, what a page needs first comes first; the files that are stored then.
async function fill(core) {
  const cache = await caches.open(FILES);
  const held = new Set((await cache.keys()).map((request) => request.url));
  const files = [...core.files.values()];
  const rank = ({ type }) => ["html", "css", "script", "font", ""].findIndex((kind) => type.includes(kind));
  const missing = files.filter((file) => !held.has(place(file))).sort((a, b) => rank(a) - rank(b));
  const total = missing.length;
  let full = navigator.connection?.saveData;
  let failed = 0;
  const work = async () => {
    for (let file; !full && (file = missing.shift()); ) {
      try {
        const { bytes } = await load(core, file, { priority: "low" });
        await cache.put(place(file), response(file, bytes));
        held.add(place(file));
        tell("progress", { done: total - missing.length, total, release: core.release });
      } catch (error) {
        failed++;
        if (error.name === "QuotaExceededError") tell("quota", { path: file.path, full: (full = true) });
      }
    }
  };
  await Promise.all(Array.from({ length: 6 }, work));
  if (!full && !failed) {
    await navigator.locks.request("rim", async () => {
      await remember("state", { ...(await recall("state")), whole: core.release });
    });
    tell("ready", { release: core.release });
  }
  return files.filter((file) => held.has(place(file)));
}

// Deletes what no page is of and none will be: the worker before, whose routes might name it, is gone by now.
async function tidy() {
  for (const name of await caches.keys()) {
    if (name.startsWith("rim:files:") && name !== FILES) await caches.delete(name);
  }
  const cache = await caches.open("rim:state");
  const state = await recall("state");
  const open = (await clients.matchAll({ includeUncontrolled: true, type: "all" })).map((client) => client.id);
  const keep = [state.current, state.whole];
  const names = (await cache.keys()).map((request) => new URL(request.url).pathname.slice(6).split("/"));
  for (const [kind, id] of names.filter(([kind]) => kind === "tab")) {
    const { release, at } = await recall(`tab/${id}`);
    // A page on its way is no client yet.
    if (open.includes(id) || Date.now() - at < 60000) keep.push(release);
    else await cache.delete(`/.rim/${kind}/${id}`);
  }
  const wanted = new Set();
  for (const [kind, id] of names.filter(([kind]) => kind === "release")) {
    if (!keep.includes(id)) await cache.delete(`/.rim/${kind}/${id}`);
    else for (const file of (await manifest(id)).files.values()) wanted.add(place(file));
  }
  const files = await caches.open(FILES);
  for (const request of await files.keys()) if (!wanted.has(request.url)) await files.delete(request);
  // Where each page is stored, a preload would only be thrown away.
  const { complete } = await manifest(state.current);
  await registration.navigationPreload?.[complete ? "disable" : "enable"]();
}

// --- Answers

// A page: of the newest release. If nobody can say which that is, of the last one that is stored to the end.
async function visit(event, url) {
  event.waitUntil(event.preloadResponse);
  let cids, first;
  try {
    const state = await check();
    cids = [...new Set(away ? [state.whole, state.current] : [state.current, state.whole])].filter(Boolean);
    first = await manifest(cids[0]);
  } catch {
    // Nothing is known here, as before the first visit.
    return fetch(event.request);
  }
  for (const cid of cids) {
    try {
      const answer = await respond(event, url, cid === cids[0] ? first : await manifest(cid));
      if (event.resultingClientId) await bind(event.resultingClientId, cid);
      return answer;
    } catch (error) {
      if (error.status) return new Response(error.message, { status: error.status });
    }
  }
  return new Response("This page is not stored here, and nobody who has it can be reached.\n", { status: 504 });
}

// All else: of the release of the page that asks. A worker is of the release of the page that starts it.
async function serve(event, url) {
  let core;
  try {
    core = await manifest((await tabOf(event.clientId))?.release ?? (await recall("state")).current);
    if (event.resultingClientId) await bind(event.resultingClientId, core.release);
  } catch {
    return fetch(event.request);
  }
  return respond(event, url, core).catch(({ status }) => (status ? new Response(null, { status }) : Response.error()));
}

async function respond(event, url, core) {
  const { request } = event;
  const navigation = request.mode === "navigate";
  const path = decoded(url.pathname);
  let status = 200;
  let file;
  try {
    file = path && (await find(core, path));
    const own = file && address(file.path, path, core);
    // Where two files want one address, the second answers under its name.
    if (file && own !== path && (await find(core, own))?.path === file.path) {
      return Response.redirect(encoded(own) + url.search, 308);
    }
  } catch (error) {
    // Whether there is such a file cannot be proved now: a shell may stand in, nothing else.
    if (!navigation || !core.spa) throw error;
  }
  if (!file && navigation) {
    file = core.spa ? core.files.get("/index.html") : missing(core, path);
    if (!core.spa) status = 404;
  }
  if (!file) return new Response("There is no such page.\n", { status: 404 });
  const stored = await (await caches.open(FILES)).match(place(file), { ignoreVary: true });
  if (stored) {
    served(event, file, "store");
    return new Response(stored.body, { status, headers: stored.headers });
  }
  if (request.headers.has("range") || (file.size > 4 * MIB && !/html|script|css|wasm|xml/.test(file.type))) {
    tell("passed", { path });
    return fetch(request);
  }
  const { bytes, from } = await load(core, file, { ready: navigation && event.preloadResponse });
  served(event, file, from);
  if (file.listed) event.waitUntil(keep(file, bytes));
  return response(file, bytes, status);
}

const keep = async (file, bytes) =>
  (await caches.open(FILES)).put(place(file), response(file, bytes)).catch(() => tell("quota", { path: file.path }));

// As the manifest says, never as the wire said.
function response({ type, fields }, bytes, status = 200) {
  const headers = new Headers(fields);
  headers.set("content-type", type);
  headers.set("x-content-type-options", "nosniff");
  return new Response(bytes, { status, headers });
}

async function served(event, { path, size }, from) {
  const id = event.clientId || event.resultingClientId;
  if ((await tabOf(id))?.watch) (await clients.get(id))?.postMessage({ rim: "served", path, from, bytes: size });
}

// --- Paths

// Names are text, addresses are percent-encoded; a slash that is encoded is none.
const encoded = (path) => path.split("/").map(encodeURIComponent).join("/");
const place = ({ path, immutable, hash }) => location.origin + encoded(path) + (immutable ? "" : `?rim=${hash}`);

function decoded(pathname) {
  try {
    return /%2f/i.test(pathname) ? "" : decodeURIComponent(pathname);
  } catch {
    return "";
  }
}

// The files that may answer under a path, as edge/site/files.py has it.
const names = (path, { clean }) =>
  path.endsWith("/")
    ? [path + "index.html", ...(clean ? [path.slice(0, -1) + ".html"] : [])]
    : [path, ...(clean ? [path + ".html"] : []), path + "/index.html"];

// The address of a file that was found under this path.
function address(name, path, { clean, slash }) {
  if (name === path && !clean) return path;
  const [, stem, index] = name.match(/^(.*?)(\/index)?\.html$/) ?? [];
  if (index) return slash === "never" && stem ? stem : stem + "/";
  return stem && clean ? stem + (slash === "always" ? "/" : "") : name;
}

// What the manifest has goes first: a name without ending that it leaves out is not asked for before each page.
async function find(core, path) {
  const all = names(path, core);
  const listed = all.find((name) => core.files.has(name));
  if (listed) return core.files.get(listed);
  for (const name of all) {
    const row = await look(core, name, path);
    if (row?.to) return find(core, decoded(new URL(encoded(row.to), location.origin + encoded(name)).pathname));
    if (row) {
      const { cid, size, type, imm, sha256 } = row;
      return { path: name, cid: "f" + cid, size, type, immutable: imm, hash: sha256 ?? cid.slice(-64) };
    }
  }
}

// The page for what is missing: the one that is named, or the nearest.
function missing(core, path) {
  if (core.error) return core.files.get(core.error);
  for (let end = path.length; (end = path.lastIndexOf("/", end - 1)) >= 0; ) {
    const file = core.files.get(path.slice(0, end) + "/404.html");
    if (file || !end) return file;
  }
}

// --- Proofs: the way through the Index (content/tree.py), each node known by the hash that was computed of it.

async function look(core, name, path) {
  // Keys are compared by their bytes, so they stay bytes: one character each.
  const text = String.fromCharCode(...utf8(name));
  let digest = 0n;
  for (const char of core.index.slice(1)) digest = (digest << 5n) | BigInt("abcdefghijklmnopqrstuvwxyz234567".indexOf(char));
  for (let at = (digest >> 2n).toString(16).slice(-64); ; ) {
    if (!blocks.has(at)) await prove(core, path, at);
    const { level, rows } = decode(blocks.get(at));
    const row = level ? rows.findLast(([key]) => key <= text) : rows.find(([key]) => key === text);
    if (!level || !row) return row?.[1];
    at = row[1].slice(-64);
  }
}

async function prove(core, path, digest) {
  if (blocks.size > 999) blocks.clear();
  await ask(`/.rim/proof?path=${encodeURIComponent(path)}&release=${core.release}`, MIB, {}, async (bytes) => {
    for (const section of sections(bytes)) {
      const data = section.slice(36);
      blocks.set(await sha256(data), data);
    }
    return blocks.has(digest);
  });
}

// Of a CAR: its header, then its blocks, each after a CID of 36 bytes.
function* sections(bytes) {
  for (let at = 0; at < bytes.length; ) {
    let size = 0;
    let unit = 1;
    for (; bytes[at] > 127; unit *= 128) size += (bytes[at++] & 127) * unit;
    size += bytes[at++] * unit;
    yield bytes.subarray(at, (at += size));
  }
}

// As much of DAG-CBOR as the nodes of an Index are made of. A link is the CID in hex.
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

// A file's bytes, from this edge or whoever has them; once, however many ask.
function load(core, file, options) {
  const at = place(file);
  if (!loading.has(at)) loading.set(at, fetched(core, file, options).finally(() => loading.delete(at)));
  return loading.get(at);
}

async function fetched(core, file, options) {
  const { path, size, hash, immutable, cid } = file;
  const good = async (bytes) => (await sha256(bytes)) === hash;
  try {
    const headers = immutable ? {} : { "Rim-Release": core.release };
    return { bytes: await ask(encoded(path), size, { ...options, headers }, good), from: "edge" };
  } catch (error) {
    // Not to be shown (410, 451) or not to this visitor: nobody else is asked for it then.
    if (/401|403|410|451/.test(error.status)) throw error;
  }
  for (const gateway of core.gateways) {
    try {
      // The CID is the hash of one raw block, or names a tree of them: its leaves, in order, are the file.
      const tree = cid && !/^f0155/.test(cid);
      const form = tree ? "format=car&car-order=dfs&car-dups=y" : "format=raw";
      const accept = tree ? "application/vnd.ipld.car; order=dfs; dups=y" : "application/vnd.ipld.raw";
      const url = `${gateway}/ipfs/${cid ?? "f01551220" + hash}?${form}`;
      let { bytes } = await get(url, size + (tree ? size / 8 + MIB : 0), { headers: { accept } });
      if (tree) {
        const leaves = [...sections(bytes)].filter((section) => section[1] === 0x55);
        bytes = new Uint8Array(await new Blob(leaves.map((leaf) => leaf.subarray(36))).arrayBuffer());
      }
      if (!(await good(bytes))) throw lie(path, gateway);
      const report = JSON.stringify({ kind: "lie", path, at: location.host });
      fetch(gateway + "/.rim/report", { method: "POST", mode: "no-cors", body: report }).catch(() => {});
      return { bytes, from: `gateway:${new URL(gateway).host}` };
    } catch {}
  }
  throw new Error(path);
}

function lie(path, at = location.host) {
  tell("lie", { path, at });
  return new Error("lie");
}

// An answer that is good. Asked twice, because the first may be an old or spoilt copy in the browser's HTTP cache.
async function ask(url, limit, options, good) {
  for (const cache of ["default", "reload"]) {
    const { bytes } = await get(url, limit, { ...options, cache });
    if (await good(bytes)) return bytes;
    options.ready = undefined;
  }
  throw lie(decoded(url.split("?")[0]));
}

// Whoever is silent for too long is given up, and of who says too much no more is read.
async function get(url, limit, { ready, ...options } = {}, patience = 10000) {
  const stop = new AbortController();
  let timer;
  const wait = () => {
    clearTimeout(timer);
    timer = setTimeout(() => stop.abort(), patience);
  };
  try {
    wait();
    const answer = (await ready) ?? (await fetch(url, { ...options, signal: stop.signal }));
    if (!answer.ok) throw Object.assign(new Error(url), { status: answer.status });
    const reader = answer.body?.getReader();
    const parts = [];
    for (let part; reader && limit >= 0 && !(part = await reader.read()).done; wait()) {
      parts.push(part.value);
      limit -= part.value.length;
    }
    if (limit < 0) stop.abort();
    return { bytes: new Uint8Array(await new Blob(parts).arrayBuffer()) };
  } finally {
    clearTimeout(timer);
  }
}

// --- Pages speak

async function hear({ data, source, ports }) {
  const tab = await tabOf(source.id);
  if (data?.rim === "watch" && tab) await bind(source.id, tab.release, (tab.watch = true));
  if (data?.rim === "status") {
    const { current, whole } = await recall("state");
    const core = await manifest(current);
    const held = new Set((await (await caches.open(FILES)).keys()).map((request) => request.url));
    const stored = [...core.files.values()].filter((file) => held.has(place(file)));
    const bytes = stored.reduce((sum, file) => sum + file.size, 0);
    ports[0].postMessage({ release: tab?.release, current, whole, away, stored: stored.length, bytes });
  }
}
