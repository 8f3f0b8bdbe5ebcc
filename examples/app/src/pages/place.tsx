// One place: its sky now, its day, and its year of light.
import { useEffect, useRef } from "react";
import { DayBar } from "../bar";
import { useNow } from "../clock";
import { PHASES, type Phase, colourOf, phaseOf } from "../light";
import { type Place, ahead, clock, day, hours, midnight } from "../places";
import { Link } from "../router";
import dayPicture from "../skies/day.webp";
import goldenPicture from "../skies/golden.webp";
import nightPicture from "../skies/night.webp";
import twilightPicture from "../skies/twilight.webp";
import { altitude, altitudes, crossings, dayLength } from "../sun";

const PICTURES: Record<Phase, string> = {
  night: nightPicture,
  twilight: twilightPicture,
  golden: goldenPicture,
  day: dayPicture,
};
const DAY = 86_400_000;

export default function PlacePage({ place }: { place: Place }) {
  const now = useNow();
  const height = altitude(now, place.latitude, place.longitude);
  const phase = phaseOf(height);
  return (
    <article>
      <div className="sky">
        <img src={PICTURES[phase]} alt="" width="1200" height="480" />
        <div>
          <h1>{place.name}</h1>
          <p>
            {day(now, place)}, {clock(now, place)}. {PHASES[phase]}: the sun is {Math.abs(height).toFixed(0)}°{" "}
            {height < 0 ? "below" : "above"} the horizon.
          </p>
        </div>
      </div>
      <Facts place={place} now={now} />
      <section className="card" aria-labelledby="year">
        <h2 id="year">A year of light</h2>
        <YearPlot place={place} now={now} />
        <Turns place={place} now={now} />
      </section>
      <p className="more">
        <Link className="button" href={`/compare/${place.slug}/${place.slug === "quito" ? "tromso" : "quito"}`}>
          Compare with {place.slug === "quito" ? "Tromsø" : "Quito"}
        </Link>
      </p>
    </article>
  );
}

function Facts({ place, now }: { place: Place; now: number }) {
  const start = midnight(now, place);
  const found = crossings(start, start + DAY, place.latitude, place.longitude);
  const told = (rising: boolean): string => {
    const crossing = found.find((one) => one.rising === rising);
    return crossing ? clock(crossing.time, place) : "None today";
  };
  return (
    <section className="card" aria-label="Today">
      <dl className="facts">
        <div>
          <dt>Sunrise</dt>
          <dd>{told(true)}</dd>
        </div>
        <div>
          <dt>Sunset</dt>
          <dd>{told(false)}</dd>
        </div>
        <div>
          <dt>Daylight</dt>
          <dd>{hours(dayLength(now, place.latitude))}</dd>
        </div>
      </dl>
      <DayBar place={place} now={now} />
      <p className="hoursline" aria-hidden="true">
        <span>0</span>
        <span>6</span>
        <span>12</span>
        <span>18</span>
        <span>24</span>
      </p>
    </section>
  );
}

const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

function YearPlot({ place, now }: { place: Place; now: number }) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const year = new Date(now).getUTCFullYear();
  useEffect(() => {
    if (canvas.current) paint(canvas.current, place, year);
  }, [place, year]);
  const today = (now - Date.UTC(year, 0, 1)) / (Date.UTC(year + 1, 0, 1) - Date.UTC(year, 0, 1));
  const longest = Math.max(...[171, 172, 355, 356].map((at) => dayLength(Date.UTC(year, 0, at), place.latitude)));
  return (
    <div className="year">
      <div className="plot">
        <canvas
          ref={canvas}
          width={365}
          height={192}
          role="img"
          aria-label={`Hours of the day, upwards, over the days of ${year}. The longest day has ${hours(longest)} of daylight.`}
        />
        <span className="today" style={{ left: `${today * 100}%` }} aria-hidden="true" />
      </div>
      <p className="months" aria-hidden="true">
        {MONTHS.map((month) => (
          <span key={month}>{month}</span>
        ))}
      </p>
    </div>
  );
}

/** A column per day, a row per 7½ minutes; midnight is at the bottom. */
function paint(canvas: HTMLCanvasElement, place: Place, year: number): void {
  const context = canvas.getContext("2d");
  if (!context) return;
  const { width, height } = canvas;
  const image = context.createImageData(width, height);
  const colours = Array.from({ length: 181 }, (_, at) => colourOf(at - 90));
  for (let x = 0; x < width; x++) {
    const noon = Date.UTC(year, 0, x + 1, 12);
    const start = noon - DAY / 2 - ahead(noon, place);
    const altitude = altitudes(start + DAY / 2, place.latitude, place.longitude);
    for (let y = 0; y < height; y++) {
      const [red, green, blue] = colours[Math.round(altitude(start + ((height - y - 0.5) / height) * DAY)) + 90]!;
      const at = (y * width + x) * 4;
      image.data[at] = red;
      image.data[at + 1] = green;
      image.data[at + 2] = blue;
      image.data[at + 3] = 255;
    }
  }
  context.putImageData(image, 0, 0);
}

function Turns({ place, now }: { place: Place; now: number }) {
  const year = new Date(now).getUTCFullYear();
  const turns = [
    ["March equinox", Date.UTC(year, 2, 20, 12)],
    ["June solstice", Date.UTC(year, 5, 21, 12)],
    ["September equinox", Date.UTC(year, 8, 22, 12)],
    ["December solstice", Date.UTC(year, 11, 21, 12)],
  ] as const;
  return (
    <div className="scroll" tabIndex={0} role="region" aria-label="Daylight at the turns of the year">
      <table>
        <thead>
          <tr>
            <th scope="col">Turn</th>
            <th scope="col">Sunrise</th>
            <th scope="col">Sunset</th>
            <th scope="col">Daylight</th>
          </tr>
        </thead>
        <tbody>
          {turns.map(([name, time]) => {
            const start = midnight(time, place);
            const found = crossings(start, start + DAY, place.latitude, place.longitude);
            const told = (rising: boolean): string => {
              const one = found.find((crossing) => crossing.rising === rising);
              return one ? clock(one.time, place) : "none";
            };
            return (
              <tr key={name}>
                <th scope="row">{name}</th>
                <td>{told(true)}</td>
                <td>{told(false)}</td>
                <td>{hours(dayLength(time, place.latitude))}</td>
              </tr>
            );
          })}
        </tbody>
      </table>
    </div>
  );
}
