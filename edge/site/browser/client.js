// What a page may ask of the site's service worker: /.rim/client.js, an ES module without dependencies (client.d.ts).
//
//   import { on, status } from "/.rim/client.js";
//   on("ready", ({ release }) => offer("A new version is here: reload."));
//
// To import it registers the worker, once the page is loaded and idle: a first visit pays for nothing before that.
// It has the worker go on with what an install could not finish.
// It also counts boots. The worker answers this file from what it stored with itself, before it does anything else, and
// else it comes from the edge: so it is there whatever the worker does. After three pages in a row that did not come up
// under it, the worker is taken away, and left away for a day.
const SCRIPT = "/.rim/sw.js";
const COUNT = "rim:boots";
const OFF = "rim:off";
const ASKED = "rim:asked";
const DAY = 86_400_000;
const PAUSE = 600_000;
const TRIES = 3;
const GONE = -1;
const PATIENCE = 2000;
const container = navigator.serviceWorker;

/** Registers the worker: after load and idle, or at once. Undefined where there can be none, or none is wanted. */
export async function register({ now = false } = {}) {
  if (!container || Date.now() - Number(read(OFF)) < DAY) return undefined;
  // Browsers look for a newer one with each page; to register again would take back one that is just leaving.
  if (container.controller?.scriptURL === location.origin + SCRIPT) return container.getRegistration("/");
  if (!now) await quiet();
  const registration = await container.register(SCRIPT, { scope: "/" }).catch(() => undefined);
  // One that was about to go (off.js) while another tab was still its client is kept by this: told so, it goes again.
  registration?.active?.postMessage({ rim: "registered" });
  return registration;
}

/** Calls back for each event of this type, those of before the call first; what comes back ends it. "update": a release
 * is ready, and it is not this page's. */
export function on(type, callback) {
  const hear = async ({ data }) => {
    if (data?.rim === type) callback(data);
    if (type === "update" && data?.rim === "ready") {
      let mine;
      // The worker that is asked may be replaced just now, and say nothing; the next one knows as much.
      for (let left = TRIES; left-- && !mine; ) mine = (await status())?.release;
      if (mine && mine !== data.release) callback({ ...data, rim: type });
    }
  };
  container?.addEventListener("message", hear);
  before.forEach((data) => hear({ data }));
  return () => container?.removeEventListener("message", hear);
}

// A page was served before its scripts ran; and the browser hands out what it was told of that whether anybody listens.
const before = [];
container?.addEventListener("message", ({ data }) => {
  if (data?.rim && before.length < 500) before.push(data);
});

/** What is stored, and which release this page is of; undefined without a worker. */
export async function status() {
  const worker = container?.controller ?? (await container?.getRegistration("/"))?.active;
  if (!worker) return undefined;
  const { port1, port2 } = new MessageChannel();
  // One that is replaced or ended meanwhile says nothing any more.
  const said = new Promise((resolve) => {
    port1.onmessage = ({ data }) => resolve(data);
    setTimeout(resolve, PATIENCE, {});
  });
  worker.postMessage({ rim: "status" }, [port2]);
  const { release, away } = await said;
  // The rest lies open (worker.js says in which form): what a page can read, no worker needs to carry.
  const state = await caches.open("rim:state");
  const recall = async (name) => (await state.match("/.rim/" + name))?.json();
  const { current, whole } = (await recall("state")) ?? {};
  const entries = (await recall("release/" + current))?.entries ?? [];
  const held = await files();
  const stored = entries.filter((entry) => held.has(place(entry)));
  const bytes = stored.reduce((sum, { size }) => sum + size, 0);
  return { release, current, whole, away, stored: stored.length, bytes };
}

async function files() {
  const names = (await caches.keys()).filter((name) => name.startsWith("rim:files:"));
  const keys = await Promise.all(names.map(async (name) => (await caches.open(name)).keys()));
  return new Set(keys.flat().map(({ url }) => url));
}

function place({ path, immutable, integrity }) {
  const hex = [...atob(integrity.slice(7))].map((char) => char.charCodeAt(0).toString(16).padStart(2, "0")).join("");
  return location.origin + path.split("/").map(encodeURIComponent).join("/") + (immutable ? "" : `?rim=${hex}`);
}

/** Asks now whether there is a newer worker, which is where a newer release is stored ahead. */
export async function update() {
  await (await container?.getRegistration("/"))?.update();
}

/** Takes the worker away, with all that it stored. */
export async function unregister() {
  for (const name of (await self.caches?.keys()) ?? []) if (name.startsWith("rim:")) await caches.delete(name);
  await (await container?.getRegistration("/"))?.unregister();
}

// A browser may refuse storage; then nothing is counted.
function read(name) {
  try {
    return localStorage.getItem(name);
  } catch {
    return null;
  }
}

function write(name, value) {
  try {
    if (value) localStorage.setItem(name, value);
    else localStorage.removeItem(name);
  } catch {}
}

async function quiet() {
  const loaded = (resolve) => addEventListener("load", resolve, { once: true });
  if (document.readyState !== "complete") await new Promise(loaded);
  await new Promise((resolve) => (self.requestIdleCallback ?? setTimeout)(resolve, { timeout: 5000 }));
}

// A page is up when it is loaded, quiet, and none of its own scripts and styles failed to come. Errors that scripts
// throw do not count: their bytes were the right ones, and a site may have thrown them all along.
async function boot() {
  const failures = Number(read(COUNT));
  if (!container?.controller) {
    // Told from here: a worker that lets nothing come up might not have let that out.
    if (failures === GONE) report("boot");
    return write(COUNT);
  }
  if (failures >= TRIES) {
    write(COUNT, GONE);
    write(OFF, Date.now());
    await unregister();
    return location.reload();
  }
  write(COUNT, failures + 1);
  let failed = [...performance.getEntriesByType("resource")].some(isBroken);
  const broken = ({ target }) => {
    if (/^(SCRIPT|LINK)$/.test(target.tagName) && isOwn(target.src || target.href)) failed = true;
  };
  addEventListener("error", broken, { capture: true });
  // Who leaves a page before it is loaded was not kept from it.
  addEventListener("pagehide", () => failed || write(COUNT));
  await quiet();
  if (!failed) write(COUNT);
  await resume().catch(() => {});
}

// Where the line broke in an install, it ended without some files, and no other comes before the next deploy. So the
// worker is asked to fetch them: once in ten minutes, whatever comes of it, and not while a newer one is at it.
async function resume() {
  const { current, whole } = (await (await caches.match("/.rim/state"))?.json()) ?? {};
  if (current === whole || navigator.connection?.saveData || Date.now() - Number(read(ASKED)) < PAUSE) return;
  const registration = await container.getRegistration("/");
  await registration?.update();
  if (!registration || registration.installing) return;
  write(ASKED, Date.now());
  registration.active?.postMessage({ rim: "fill", release: current });
}

// What nobody else would tell whoever runs the edge; counted by kind, and believed as little as any report.
function report(kind) {
  const told = new URLSearchParams({ kind, path: location.pathname, at: location.host });
  navigator.sendBeacon(`/.rim/report?${told}`);
}

const isOwn = (url) => url.startsWith(location.origin + "/");
const isBroken = ({ name, initiatorType, responseStatus }) =>
  isOwn(name) && /^(script|link)$/.test(initiatorType) && (responseStatus === 0 || responseStatus >= 400);

// Where there is no room even for a manifest the worker leaves. To register it again would take it back.
// And where there is none for files, to ask for them again would be to fetch them for nothing.
on("quota", ({ left }) => {
  if (!(Number(read(ASKED)) > Date.now())) report("quota");
  write(ASKED, Date.now() + DAY);
  if (left) write(OFF, Date.now());
});
boot();
register();
