// The time, told once a minute. `?at=2026-06-21T10:00Z` stops it: for pictures and tests.
import { useEffect, useState } from "react";

const fixed = new URLSearchParams(location.search).get("at");

export function useNow(): number {
  const [now, set] = useState(() => (fixed ? Date.parse(fixed) : Date.now()));
  useEffect(() => {
    if (fixed) return;
    const timer = setInterval(() => set(Date.now()), 60_000);
    return () => clearInterval(timer);
  }, []);
  return now;
}
