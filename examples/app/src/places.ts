// The places, and their clocks. Not here: the sun (sun.ts).

export interface Place {
  slug: string;
  name: string;
  country: string;
  latitude: number;
  longitude: number;
  zone: string;
}

const row = (line: string): Place => {
  const [slug, name, country, latitude, longitude, zone] = line.split("|") as [string, string, string, string, string, string];
  return { slug, name, country, latitude: Number(latitude), longitude: Number(longitude), zone };
};

// From north to south.
export const PLACES: readonly Place[] = `
longyearbyen|Longyearbyen|Svalbard|78.22|15.63|Arctic/Longyearbyen
tromso|Tromsø|Norway|69.65|18.96|Europe/Oslo
reykjavik|Reykjavík|Iceland|64.15|-21.94|Atlantic/Reykjavik
helsinki|Helsinki|Finland|60.17|24.94|Europe/Helsinki
edinburgh|Edinburgh|Scotland|55.95|-3.19|Europe/London
berlin|Berlin|Germany|52.52|13.4|Europe/Berlin
vancouver|Vancouver|Canada|49.28|-123.12|America/Vancouver
new-york|New York|United States|40.71|-74.01|America/New_York
tokyo|Tokyo|Japan|35.68|139.69|Asia/Tokyo
cairo|Cairo|Egypt|30.04|31.24|Africa/Cairo
mumbai|Mumbai|India|19.08|72.88|Asia/Kolkata
singapore|Singapore|Singapore|1.35|103.82|Asia/Singapore
quito|Quito|Ecuador|-0.18|-78.47|America/Guayaquil
lima|Lima|Peru|-12.05|-77.04|America/Lima
sydney|Sydney|Australia|-33.87|151.21|Australia/Sydney
wellington|Wellington|New Zealand|-41.29|174.78|Pacific/Auckland
ushuaia|Ushuaia|Argentina|-54.8|-68.3|America/Argentina/Ushuaia
mcmurdo|McMurdo|Antarctica|-77.85|166.67|Antarctica/McMurdo
`
  .trim()
  .split("\n")
  .map(row);

export const placeOf = (slug: string): Place | undefined => PLACES.find((place) => place.slug === slug);

// To make one takes longer than to use it a hundred times.
const made = new Map<string, Intl.DateTimeFormat>();

function formatOf(zone: string): Intl.DateTimeFormat {
  let known = made.get(zone);
  if (!known) {
    const all = { year: "numeric", month: "numeric", day: "numeric", hour: "numeric", minute: "numeric" } as const;
    known = new Intl.DateTimeFormat("en-GB", { ...all, hourCycle: "h23", timeZone: zone });
    made.set(zone, known);
  }
  return known;
}

/** Milliseconds that the clock of this place is ahead of UTC. */
export function ahead(time: number, { zone }: Place): number {
  const parts: Record<string, number> = {};
  for (const { type, value } of formatOf(zone).formatToParts(time)) parts[type] = Number(value);
  const { year = 0, month = 0, day = 0, hour = 0, minute = 0 } = parts;
  return Date.UTC(year, month - 1, day, hour, minute) - (time - (time % 60_000));
}

/** The midnight that began the day of this time, by the clock of the place. */
export function midnight(time: number, place: Place): number {
  const now = ahead(time, place);
  const guess = time + now - ((time + now) % 86_400_000) - now;
  return guess + now - ahead(guess, place);
}

export const clock = (time: number, place: Place): string =>
  new Date(time + ahead(time, place)).toISOString().slice(11, 16);

const DAY = new Intl.DateTimeFormat("en-GB", { weekday: "long", day: "numeric", month: "long", timeZone: "UTC" });

export const day = (time: number, place: Place): string => DAY.format(time + ahead(time, place));

/** 7.55 → "7 h 33 min" */
export function hours(length: number): string {
  if (length === 0) return "None";
  if (length === 24) return "All day";
  const minutes = Math.round(length * 60);
  return `${Math.floor(minutes / 60)} h ${String(minutes % 60).padStart(2, "0")} min`;
}
