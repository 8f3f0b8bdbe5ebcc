// What the page can learn of its own files: from Resource Timing, and from the worker through Rim's client.
// The client is no part of the build: Rim answers /.rim/client.js on every site's host. Elsewhere (vite dev, another
// server) there is none, and the app runs without it.
import { useEffect, useState } from "react";
import { type Entry, type Ledger, type Sum, booked, sourceOf } from "./ledger";


export interface Visit {
  ledger: Ledger;
  client: boolean; // Rim's client is here
  release: string; // what this tab runs, "" before that is known
  next: string; // a newer release that is stored and waits, ""
  online: boolean;
  stored: { files: number; bytes: number };
  ahead: { done: number; total: number }; // files being stored before they are asked for
  update: Sum | null; // what storing the last release took
  lies: string[]; // paths of which somebody sent other bytes; they were not shown
}

const CLIENT = "/.rim/client.js";
const KEPT = "daylight:update";
const FIRST: Visit = {
  ledger: new Map(),
  client: false,
  release: "",
  next: "",
  online: navigator.onLine,
  stored: { files: 0, bytes: 0 },
  ahead: { done: 0, total: 0 },
  update: JSON.parse(localStorage.getItem(KEPT) ?? "null") as Sum | null,
  lies: [],
};

type Client = typeof import("/.rim/client.js");
const loading: Promise<Client | null> = import("/.rim/client.js").catch(() => null);

/** Of a controlled page the worker tells more, but for what Static Routing took from the store without waking it, and
 * for Rim's client, which it has no word about. */
function seen(timing: PerformanceResourceTiming): Entry | null {
  const { pathname: path, origin } = new URL(timing.name);
  if (origin !== location.origin || timing.responseStatus === 0) return null; // 0: it never came
  const { transferSize: wire, decodedBodySize: bytes, workerFinalSourceType: answered } = timing;
  const stored = answered === "cache" || (path === CLIENT && timing.workerStart > 0 && wire === 0);
  if (timing.workerStart > 0 && !stored && path !== CLIENT) return null;
  return { path, source: stored ? "worker" : sourceOf(timing.contentEncoding ?? "", wire), bytes, wire };
}

export function useVisit(): Visit & { check: () => Promise<void> } {
  const [visit, set] = useState(FIRST);
  useEffect(() => {
    const change = (part: (was: Visit) => Partial<Visit>): void => set((was) => ({ ...was, ...part(was) }));
    const book = (entry: Entry, sure: boolean): void => change(({ ledger }) => ({ ledger: booked(ledger, entry, sure) }));
    const observer = new PerformanceObserver((list) => {
      for (const timing of list.getEntries()) {
        const entry = seen(timing as PerformanceResourceTiming);
        if (entry) book(entry, false);
      }
    });
    observer.observe({ type: "navigation", buffered: true });
    observer.observe({ type: "resource", buffered: true });
    const network = (): void => change(() => ({ online: navigator.onLine }));
    addEventListener("online", network);
    addEventListener("offline", network);
    const stops: (() => void)[] = [];
    let over = false;
    void loading.then((client) => {
      if (!client || over) return;
      change(() => ({ client: true }));
      stops.push(...follow(client, change, book));
    });
    return () => {
      over = true;
      observer.disconnect();
      removeEventListener("online", network);
      removeEventListener("offline", network);
      for (const stop of stops) stop();
    };
  }, []);
  useEffect(() => {
    if (visit.update) localStorage.setItem(KEPT, JSON.stringify(visit.update));
  }, [visit.update]);
  const check = async (): Promise<void> => {
    await (await loading)?.update();
  };
  return { ...visit, check };
}

type Change = (part: (was: Visit) => Partial<Visit>) => void;

function follow(client: Client, change: Change, book: (entry: Entry, sure: boolean) => void): (() => void)[] {
  const ask = async (): Promise<void> => {
    const status = await client.status();
    if (!status) return;
    const { release = "", current, stored: files, bytes } = status;
    const next = release && release !== current ? current : "";
    change(() => ({ release: release || current, next, stored: { files, bytes } }));
  };
  let timer = 0;
  const soon = (what: () => Promise<void>): void => {
    clearTimeout(timer);
    timer = setTimeout(() => void what(), 300);
  };
  void ask();
  return [
    client.on("served", (file) => {
      book(entryOf(file), true);
      if (file.from !== "store") soon(ask); // it is stored now
    }),
    client.on("progress", (file) => {
      const { done, total } = file;
      change(({ update }) => ({ ahead: { done, total }, update: added(done > 1 ? update : null, entryOf(file)) }));
    }),
    client.on("ready", ({ release: next }) => {
      change(({ release }) => (release && next !== release ? { next } : {}));
      void navigator.serviceWorker.ready.then(ask); // a first one is told before it is active
    }),
    client.on("offline", () => change(() => ({ online: false }))),
    client.on("online", () => change(() => ({ online: true }))),
    client.on("lie", ({ path }) => change(({ lies }) => ({ lies: [...new Set([...lies, path])] }))),
  ];
}

type File = import("/.rim/client.js").Wire & { path: string; bytes: number };

function entryOf({ path, from, bytes, wire = 0, encoding = "" }: File): Entry {
  const source = from === "store" ? "worker" : from === "edge" ? sourceOf(encoding, wire) : "gateway";
  return { path, source, bytes, wire };
}

function added(update: Sum | null, { bytes, wire }: Entry): Sum {
  const was = update ?? { files: 0, bytes: 0, wire: 0 };
  return { files: was.files + 1, bytes: was.bytes + bytes, wire: was.wire + wire };
}
