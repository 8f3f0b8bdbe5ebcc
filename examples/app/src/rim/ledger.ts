// The books of this visit: each file the page used, where it came from, and what of it crossed the network.
// Pure. Not here: who tells it (watch.ts), how it is shown (panel.tsx).

export type Source = "worker" | "delta" | "edge" | "gateway" | "browser";

export interface Entry {
  path: string;
  source: Source;
  bytes: number; // unpacked
  wire: number; // with header fields, as the browser counts it (Resource Timing, transferSize)
}

export type Ledger = ReadonlyMap<string, Entry>;

export interface Sum {
  files: number;
  bytes: number;
  wire: number;
}

/** A file is booked once; what the worker says of it replaces what the page could see. */
export function booked(ledger: Ledger, entry: Entry, sure: boolean): Ledger {
  if (!sure && ledger.has(entry.path)) return ledger;
  return new Map(ledger).set(entry.path, entry);
}

export function sumOf(ledger: Ledger, source?: Source): Sum {
  const sum = { files: 0, bytes: 0, wire: 0 };
  for (const entry of ledger.values()) {
    if (source && entry.source !== source) continue;
    sum.files += 1;
    sum.bytes += entry.bytes;
    sum.wire += entry.wire;
  }
  return sum;
}

/** Unpacked bytes that did not have to be sent: what was stored here, and of a delta what the old file already had. */
export function saved(ledger: Ledger): number {
  let bytes = 0;
  for (const entry of ledger.values()) {
    if (entry.source === "worker" || entry.source === "browser") bytes += entry.bytes;
    if (entry.source === "delta") bytes += Math.max(0, entry.bytes - entry.wire);
  }
  return bytes;
}

/** Where a file came from that the edge answered, by its coding and by what was sent. */
export function sourceOf(encoding: string, wire: number): Source {
  if (wire === 0) return "browser";
  return encoding === "dcz" || encoding === "dcb" ? "delta" : "edge";
}

/** 417_792 → "408 KB" */
export function size(bytes: number): string {
  if (bytes < 1000) return `${bytes} B`;
  const [value, unit] = bytes < 1_000_000 ? [bytes / 1000, "KB"] : [bytes / 1_000_000, "MB"];
  return `${value < 10 ? value.toFixed(1) : value.toFixed(0)} ${unit}`;
}
