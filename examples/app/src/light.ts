// The colour of the sky by the altitude of the sun. One table, for bars, diagrams and pictures.

type Colour = [number, number, number];

const SKY: readonly [number, Colour][] = [
  [-18, [16, 22, 48]],
  [-12, [33, 42, 84]],
  [-6, [74, 74, 134]],
  [-2.5, [176, 98, 130]],
  [-0.8, [232, 134, 98]],
  [3, [246, 184, 108]],
  [9, [250, 214, 142]],
  [25, [252, 230, 172]],
  [90, [255, 243, 208]],
];

export function colourOf(altitude: number): Colour {
  const above = SKY.findIndex(([at]) => at >= altitude);
  const next = SKY[above];
  const last = SKY[above - 1];
  if (!next) return [255, 243, 208];
  if (!last) return next[1];
  const share = (altitude - last[0]) / (next[0] - last[0]);
  return next[1].map((value, at) => Math.round((last[1][at] ?? 0) + share * (value - (last[1][at] ?? 0)))) as Colour;
}

export const css = (altitude: number): string => `rgb(${colourOf(altitude).join(" ")})`;

export type Phase = "night" | "twilight" | "golden" | "day";

export const phaseOf = (altitude: number): Phase =>
  altitude < -12 ? "night" : altitude < -0.833 ? "twilight" : altitude < 9 ? "golden" : "day";

export const PHASES: Record<Phase, string> = {
  night: "Night",
  twilight: "Twilight",
  golden: "Low sun",
  day: "Daylight",
};
