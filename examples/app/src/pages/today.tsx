// All places, and how their day goes.
import { useState } from "react";
import { DayBar } from "../bar";
import { useNow } from "../clock";
import { PHASES, phaseOf } from "../light";
import { PLACES, type Place, clock, hours } from "../places";
import { Link } from "../router";
import { altitude, dayLength } from "../sun";

export function Today() {
  const now = useNow();
  const [sought, seek] = useState("");
  const found = PLACES.filter(({ name, country }) => `${name} ${country}`.toLowerCase().includes(sought.trim().toLowerCase()));
  const lit = PLACES.filter((place) => altitude(now, place.latitude, place.longitude) > -0.833).length;
  return (
    <>
      <div className="intro">
        <h1>Where the sun is up</h1>
        <p className="lead">
          It shines on {lit} of these {PLACES.length} places right now.
        </p>
        <label className="seek">
          <span>Find a place</span>
          <input type="search" value={sought} onChange={(event) => seek(event.target.value)} autoComplete="off" />
        </label>
      </div>
      <ul className="places">
        {found.map((place) => (
          <li key={place.slug}>
            <Card place={place} now={now} />
          </li>
        ))}
      </ul>
      {found.length === 0 && <p className="waiting">No place of that name.</p>}
    </>
  );
}

function Card({ place, now }: { place: Place; now: number }) {
  const length = dayLength(now, place.latitude);
  const change = Math.round((length - dayLength(now - 86_400_000, place.latitude)) * 60);
  const phase = phaseOf(altitude(now, place.latitude, place.longitude));
  return (
    <Link className="place" href={`/place/${place.slug}`}>
      <span className="who">
        <strong>{place.name}</strong>
        <span>{place.country}</span>
      </span>
      <span className="when">
        <strong>{clock(now, place)}</strong>
        <span>{PHASES[phase]}</span>
      </span>
      <DayBar place={place} now={now} />
      <span className="length">
        {length === 0 ? "Polar night" : length === 24 ? "Midnight sun" : `${hours(length)} of daylight`}
      </span>
      <span className="change">{change === 0 ? "" : `${change > 0 ? "+" : "−"}${Math.abs(change)} min`}</span>
    </Link>
  );
}
