// Where the sun is: the low-precision formulas of the Astronomical Almanac (about a minute of time until 2050).
// Pure: a time in ms since 1970, a place in degrees. Not here: time zones (places.ts), pictures (pages).

const RADIANS = Math.PI / 180;
const DAY = 86_400_000;
export const HORIZON = -0.833; // the sun's upper rim touches it, with refraction

interface Sun {
  ascension: number; // degrees
  declination: number; // radians
}

function sun(days: number): Sun {
  const anomaly = (357.529 + 0.98560028 * days) * RADIANS;
  const longitude =
    (280.459 + 0.98564736 * days + 1.915 * Math.sin(anomaly) + 0.02 * Math.sin(2 * anomaly)) * RADIANS;
  const tilt = (23.439 - 0.00000036 * days) * RADIANS;
  return {
    ascension: Math.atan2(Math.cos(tilt) * Math.sin(longitude), Math.cos(longitude)) / RADIANS,
    declination: Math.asin(Math.sin(tilt) * Math.sin(longitude)),
  };
}

const daysSince2000 = (time: number): number => time / DAY - 10957.5;

/** Degrees of the sun above the horizon. */
export function altitude(time: number, latitude: number, longitude: number): number {
  return altitudes(time, latitude, longitude)(time);
}

/** The same for the hours around a time: the sun's own place, which takes most of the work, is taken as of then. */
export function altitudes(around: number, latitude: number, longitude: number): (time: number) => number {
  const { ascension, declination } = sun(daysSince2000(around));
  const north = latitude * RADIANS;
  const fixed = Math.sin(north) * Math.sin(declination);
  const swing = Math.cos(north) * Math.cos(declination);
  return (time) => {
    const sidereal = 280.46061837 + 360.98564736629 * daysSince2000(time);
    return Math.asin(fixed + swing * Math.cos((sidereal + longitude - ascension) * RADIANS)) / RADIANS;
  };
}

/** Hours of daylight on the day around this time: 0 in the polar night, 24 under the midnight sun. */
export function dayLength(time: number, latitude: number): number {
  const { declination } = sun(daysSince2000(time));
  const north = latitude * RADIANS;
  const cosine =
    (Math.sin(HORIZON * RADIANS) - Math.sin(north) * Math.sin(declination)) /
    (Math.cos(north) * Math.cos(declination));
  return (Math.acos(Math.min(1, Math.max(-1, cosine))) / RADIANS / 15) * 2;
}

export interface Crossing {
  time: number;
  rising: boolean;
}

/** When the sun passes this altitude between two times: sampled every ten minutes, then halved down to a second. */
export function crossings(from: number, to: number, latitude: number, longitude: number, at = HORIZON): Crossing[] {
  const above = (time: number): boolean => altitude(time, latitude, longitude) > at;
  const found: Crossing[] = [];
  const step = 600_000;
  for (let time = from; time < to; time += step) {
    const rising = above(time + step);
    if (above(time) === rising) continue;
    let [low, high] = [time, time + step];
    while (high - low > 1000) {
      const middle = (low + high) / 2;
      if (above(middle) === rising) high = middle;
      else low = middle;
    }
    found.push({ time: high, rising });
  }
  return found;
}
