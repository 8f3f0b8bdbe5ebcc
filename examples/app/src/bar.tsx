// A day as a bar, from midnight to midnight of the place's own clock.
import { css } from "./light";
import { type Place, midnight } from "./places";
import { altitudes } from "./sun";

const DAY = 86_400_000;
const STOPS = 72;

export function DayBar({ place, now }: { place: Place; now: number }) {
  const start = midnight(now, place);
  const altitude = altitudes(start + DAY / 2, place.latitude, place.longitude);
  const stops = Array.from({ length: STOPS + 1 }, (_, at) => css(altitude(start + (at * DAY) / STOPS)));
  return (
    <div className="daybar" aria-hidden="true" style={{ backgroundImage: `linear-gradient(90deg, ${stops.join(",")})` }}>
      <span style={{ left: `${((now - start) / DAY) * 100}%` }} />
    </div>
  );
}
