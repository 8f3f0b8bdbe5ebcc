// Fields of Resource Timing that TypeScript's own types lack yet; absent in some browsers.
interface PerformanceResourceTiming {
  readonly contentEncoding?: string;
  readonly workerFinalSourceType?: "cache" | "fetch-event" | "network" | "race-network-and-fetch-handler" | "";
}
