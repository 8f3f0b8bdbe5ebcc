/** Types of /.rim/client.js: what a page may ask of the service worker of a Rim site. */

/** What came over the wire for a file, as far as the browser knows it: bytes with the header (0: from its HTTP cache),
 * and the coding ("dcz", "br", …; "": none). */
export interface Wire { from: string; wire?: number; encoding?: string }
/** A file was stored ahead: the `done`th of `total` that were missing. */
export interface Progress extends Wire { rim: "progress"; done: number; total: number; path: string; bytes: number }
/** A release is stored to its end: without a network, pages are of it. */
export interface Ready { rim: "ready"; release: string }
/** The same, where it is not the release of this page: offer to load it anew. */
export interface Update { rim: "update"; release: string }
/** Nobody could be asked for the newest release (offline), or somebody can be again (online). */
export interface Away { rim: "offline" | "online" }
/** `at` sent other bytes than the site's key has signed. They were not shown. */
export interface Lie { rim: "lie"; path: string; at: string }
/** A range, or long media that is not stored: it went by unverified. */
export interface Passed { rim: "passed"; path: string }
/** The browser has no room left for this site; `left`: not even for a manifest, and the worker is gone for a day. */
export interface Quota { rim: "quota"; left?: true }
/** A file came to this page: `from` is "store", "edge" or "gateway:host"; `bytes` is the file's size. What the browser
 * answers from the store without asking the worker (Static Routing) is not told of: see `workerFinalSourceType`. */
export interface Served extends Wire { rim: "served"; path: string; bytes: number }

export interface Events {
  progress: Progress;
  ready: Ready;
  update: Update;
  offline: Away;
  online: Away;
  lie: Lie;
  passed: Passed;
  quota: Quota;
  served: Served;
}

export interface Status {
  /** The release that this page is of; undefined where it came before the worker. */
  release?: string;
  /** The release that a page opened now is of. */
  current: string;
  /** The last release that was stored to its end. */
  whole?: string;
  /** Whether the edge could not be asked last time. */
  away: boolean;
  /** Files of the current release that are stored, and their bytes. */
  stored: number;
  bytes: number;
}

/** Registers the worker: once the page is loaded and idle, or now. Importing this module does so too. */
export function register(options?: { now?: boolean }): Promise<ServiceWorkerRegistration | undefined>;
/** Calls back for each event of this type. Call what is returned to end it. */
export function on<K extends keyof Events>(type: K, callback: (event: Events[K]) => void): () => void;
/** What is stored, and which release this page is of; undefined without a worker. */
export function status(): Promise<Status | undefined>;
/** Looks for a newer release now. */
export function update(): Promise<void>;
/** Takes the worker away, with all that it stored. */
export function unregister(): Promise<void>;
