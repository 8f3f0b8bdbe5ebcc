/** Types of /.rim/client.js: what a page may ask of the service worker of a Rim site. */

/** What became of one file. `bytes` is its size; `wire` what came over the network, fields included: 0 or nothing where
    it was stored already, here or in the browser's own cache; `encoding` its Content-Encoding on the way. */
interface File { path: string; bytes: number; from: string; wire?: number; encoding?: string }
/** How far the storing of a release is, and the file just stored. */
export interface Progress extends File { rim: "progress"; done: number; total: number; release: string }
/** A release is stored whole: pages opened from now on are of it. */
export interface Ready { rim: "ready"; release: string }
/** The edge could not be asked for the newest release (offline), or can be again (online). */
export interface Away { rim: "offline" | "online" }
/** Somebody sent other bytes than the site's key has signed; they were not shown. `at`: who. */
export interface Lie { rim: "lie"; path: string; at: string }
/** A range or large media: it went by unstored and unverified. */
export interface Passed { rim: "passed"; path: string }
/** The browser has no room left for the site. */
export interface Quota { rim: "quota"; path: string }
/** A file came to this page: `from` is "store", "edge" or "gateway:host". */
export interface Served extends File { rim: "served" }

export interface Events {
  progress: Progress;
  ready: Ready;
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
  /** The last release that was stored whole. */
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
