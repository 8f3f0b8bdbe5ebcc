// Up to five places in one chart. The chart's library is in this view's files only.
import { CategoryScale, Chart, LineController, LineElement, LinearScale, PointElement, Tooltip } from "chart.js";
import { useEffect, useRef } from "react";
import { useNow } from "../clock";
import { PLACES, type Place, hours, placeOf } from "../places";
import { Link, go } from "../router";
import { dayLength } from "../sun";

Chart.register(LineController, LineElement, PointElement, CategoryScale, LinearScale, Tooltip);

const MOST = 5;
const to = (places: readonly Place[]): string => `/compare/${places.map(({ slug }) => slug).join("/")}`;

export default function Compare({ slugs }: { slugs: string[] }) {
  const places = [...new Set(slugs)].map(placeOf).filter((place) => place !== undefined).slice(0, MOST);
  const others = PLACES.filter((place) => !places.includes(place));
  return (
    <>
      <div className="intro">
        <h1>Days of the year, side by side</h1>
        <p className="lead">The nearer a pole, the more the seasons differ.</p>
      </div>
      <section className="card" aria-label="Hours of daylight over the year">
        <ul className="chosen">
          {places.map((place, at) => (
            <li key={place.slug} className={`line-${at}`}>
              <Link href={`/place/${place.slug}`}>{place.name}</Link>
              <button
                className="remove"
                onClick={() => go(to(places.filter((one) => one !== place)))}
                aria-label={`Remove ${place.name}`}
              >
                ×
              </button>
            </li>
          ))}
          {places.length < MOST && (
            <li className="adds">
              <select
                aria-label="Add a place"
                value=""
                onChange={(event) => go(`${to(places)}/${event.target.value}`.replace("//", "/"))}
              >
                <option value="" disabled>
                  Add a place
                </option>
                {others.map(({ slug, name }) => (
                  <option key={slug} value={slug}>
                    {name}
                  </option>
                ))}
              </select>
            </li>
          )}
        </ul>
        <Lines places={places} />
        <Lengths places={places} />
      </section>
    </>
  );
}

/** The colours are the style sheet's, which knows of light and dark. */
function Lines({ places }: { places: readonly Place[] }) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const year = new Date(useNow()).getUTCFullYear();
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const named = places.map(({ slug }) => slug).join("/");
  useEffect(() => {
    if (!canvas.current) return;
    const chart = draw(canvas.current, places, year);
    const redraw = (): void => {
      colour(chart);
      chart.update("none");
    };
    dark.addEventListener("change", redraw);
    return () => {
      dark.removeEventListener("change", redraw);
      chart.destroy();
    };
    // `places` is made anew on each call; what it means is in its names
    // oxlint-disable-next-line
  }, [named, year]);
  return (
    <div className="chart">
      <canvas ref={canvas} role="img" aria-label="A line per place: hours of daylight for each week. The table below has the figures." />
    </div>
  );
}

function draw(canvas: HTMLCanvasElement, places: readonly Place[], year: number): Chart {
  const weeks = Array.from({ length: 53 }, (_, week) => Date.UTC(year, 0, 1 + week * 7, 12));
  const label = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", timeZone: "UTC" });
  const chart = new Chart(canvas, {
    type: "line",
    data: {
      labels: weeks.map((week) => label.format(week)),
      datasets: places.map((place) => ({
        label: place.name,
        data: weeks.map((week) => dayLength(week, place.latitude)),
        borderWidth: 2.5,
        pointRadius: 0,
        pointHitRadius: 12,
        cubicInterpolationMode: "monotone",
      })),
    },
    options: {
      animation: false,
      maintainAspectRatio: false,
      interaction: { mode: "index", intersect: false },
      plugins: { tooltip: { callbacks: { label: (item) => ` ${item.dataset.label}: ${hours(item.parsed.y)}` } } },
      scales: {
        x: { grid: { display: false }, ticks: { maxTicksLimit: 7, maxRotation: 0 } },
        y: { min: 0, max: 24, ticks: { stepSize: 6, callback: (value) => `${value} h` }, border: { display: false } },
      },
    },
  });
  colour(chart);
  chart.update("none");
  return chart;
}

function colour(chart: Chart): void {
  const style = getComputedStyle(document.documentElement);
  const named = (name: string): string => style.getPropertyValue(name).trim();
  chart.data.datasets.forEach((set, at) => Object.assign(set, { borderColor: named(`--line-${at}`), backgroundColor: named(`--line-${at}`) }));
  for (const axis of Object.values(chart.options.scales ?? {})) {
    if (axis?.ticks) axis.ticks.color = named("--soft");
    if (axis?.grid) axis.grid.color = named("--rule");
  }
  Chart.defaults.font.family = "Inter, system-ui, sans-serif";
  Chart.defaults.font.size = 13;
}

function Lengths({ places }: { places: readonly Place[] }) {
  const year = new Date(useNow()).getUTCFullYear();
  const june = Date.UTC(year, 5, 21, 12);
  const december = Date.UTC(year, 11, 21, 12);
  return (
    <div className="scroll" tabIndex={0} role="region" aria-label="Shortest and longest days">
      <table>
        <thead>
          <tr>
            <th scope="col">Place</th>
            <th scope="col">21 June</th>
            <th scope="col">21 December</th>
          </tr>
        </thead>
        <tbody>
          {places.map((place) => (
            <tr key={place.slug}>
              <th scope="row">{place.name}</th>
              <td>{hours(dayLength(june, place.latitude))}</td>
              <td>{hours(dayLength(december, place.latitude))}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
