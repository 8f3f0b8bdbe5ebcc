// Asks this site's own edge for a file and says where it came from. Knows HTTP, not the page.

export const TIERS = {
  memory: { label: "memory", far: 1, says: "the edge’s memory" },
  disk: { label: "disk", far: 2, says: "the edge’s disk" },
  peer: { label: "peer", far: 3, says: "another edge of the ring" },
  origin: { label: "origin", far: 4, says: "the origin" },
  unknown: { label: "not said", far: 1, says: "a server that sends no Cache-Status" },
  error: { label: "error", far: 1, says: "nowhere: the question failed" },
};

// RFC 9211: a list of caches, the one nearest to us last. `edge-1; hit; detail=memory`, `edge-1; fwd=miss; detail=peer`
export function readCacheStatus(value) {
  if (!value) return { edge: "", tier: "unknown", hit: false };
  const nearest = value.split(/,(?=(?:[^"]*"[^"]*")*[^"]*$)/).at(-1);
  const [name, ...rest] = nearest.split(";").map((part) => part.trim());
  const parameters = Object.fromEntries(rest.map((part) => part.split("=").map((s) => s.replace(/^"|"$/g, ""))));
  const hit = "hit" in parameters;
  const detail = parameters.detail ?? "";
  const tier = detail in TIERS ? detail : hit ? "memory" : detail === "gateway" || parameters.fwd ? "origin" : "unknown";
  return { edge: name.replace(/^"|"$/g, ""), tier, hit, detail };
}

export async function ask(path, init = {}) {
  const started = performance.now();
  try {
    const response = await fetch(path, { cache: "no-store", ...init });
    const body = await response.arrayBuffer();
    const took = performance.now() - started;
    return { path, status: response.status, headers: response.headers, body, ...sizes(path, response, body, took), ...readCacheStatus(response.headers.get("cache-status")) };
  } catch (fault) {
    return { path, status: 0, headers: new Headers(), body: new ArrayBuffer(0), sent: 0, whole: 0, took: 0, coding: "", edge: "", tier: "error", fault: String(fault) };
  }
}

// The browser's own stopwatch is finer than ours: it does not count the time this page was busy with other answers.
function sizes(path, response, body, took) {
  const entry = performance.getEntriesByName(new URL(path, location.href).href, "resource").at(-1);
  const length = Number(response.headers.get("content-length") ?? NaN);
  return {
    sent: Number.isFinite(length) ? length : entry?.encodedBodySize || body.byteLength,
    whole: body.byteLength,
    coding: response.headers.get("content-encoding") ?? "",
    took: entry && entry.requestStart ? entry.responseEnd - entry.requestStart : took,
  };
}

// Asks for all, a few at a time, and tells of each as it comes.
export async function askAll(paths, tell, atOnce = 4) {
  performance.clearResourceTimings();
  const waiting = [...paths];
  const worker = async () => {
    for (let path; (path = waiting.shift()) !== undefined; ) tell(await ask(path));
  };
  await Promise.all(Array.from({ length: atOnce }, worker));
}

export const bytes = (n) => (n < 1000 ? `${n} B` : n < 1e6 ? `${(n / 1000).toFixed(n < 1e4 ? 1 : 0)} kB` : `${(n / 1e6).toFixed(2)} MB`);
export const millis = (t) => (t < 9.95 ? `${t.toFixed(1)} ms` : `${Math.round(t)} ms`);
