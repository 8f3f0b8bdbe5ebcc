// The map: five stations on one line, and a dot for each file that travels to where it was found and back.
// It lies down on wide screens and stands up on narrow ones; what moves is only decoration, the numbers are text.
import { bytes, TIERS } from "/assets/ask.3d8b0cd4d657.js";

const SVG = "http://www.w3.org/2000/svg";
const STATIONS = [
  { id: "browser", title: "Browser", text: "asks" },
  { id: "memory", title: "Memory", text: "of this edge" },
  { id: "disk", title: "Disk", text: "of this edge" },
  { id: "peer", title: "Peer", text: "the block’s owner" },
  { id: "origin", title: "Origin", text: "keeps all" },
];
const WIDE = { box: [1000, 226], at: { browser: [84, 98], memory: [318, 98], disk: [498, 98], peer: [722, 98], origin: [916, 98] }, edge: [216, 4, 388, 214], sideways: true };
const TALL = { box: [360, 640], at: { browser: [120, 60], memory: [120, 206], disk: [120, 326], peer: [120, 462], origin: [120, 584] }, edge: [18, 142, 324, 252], sideways: false };
const ICONS = {
  browser: "M-15-11h30v22h-30zM-15-5h30M-11-8h.1M-7.5-8h.1",
  memory: "M-12-9h24v18h-24zM-7-9v-5M0-9v-5M7-9v-5M-7 14v-5M0 14v-5M7 14v-5",
  disk: "M-12-8c0-6 24-6 24 0v16c0 6-24 6-24 0zM-12-8c0 6 24 6 24 0M-12 0c0 6 24 6 24 0",
  peer: "M0-13a13 13 0 1 0 .1 0zM0-5.5a5.5 5.5 0 1 0 .1 0z",
  origin: "M-13 12v-14l13-11 13 11v14zM-4.5 12v-9h9v9",
};

const svg = (tag, attributes = {}, ...children) => {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
};

export function drawMap(place) {
  const narrow = matchMedia("(max-width: 760px)");
  const still = matchMedia("(prefers-reduced-motion: reduce)");
  const seen = Object.fromEntries(STATIONS.map(({ id }) => [id, { files: 0, bytes: 0 }]));
  let edge = "";
  let shape, dots, counts, edgeName;

  function draw() {
    shape = narrow.matches ? TALL : WIDE;
    const [width, height] = shape.box;
    const root = svg("svg", { viewBox: `0 0 ${width} ${height}`, "aria-hidden": "true" });
    const [x, y, w, h] = shape.edge;
    const beside = shape.sideways ? { x: x + w / 2, "text-anchor": "middle" } : { x: x + w - 18, "text-anchor": "end" };
    edgeName = svg("text", { class: "edge-name", y: y + 28, ...beside });
    root.append(rail(), svg("rect", { class: "edge-box", x, y, width: w, height: h, rx: 18 }), edgeName);
    counts = {};
    for (const station of STATIONS) root.append(drawStation(station));
    dots = svg("g");
    root.append(dots);
    place.replaceChildren(root);
    tell();
  }

  function rail() {
    const [[ax, ay], [bx, by]] = [shape.at.browser, shape.at.origin];
    return svg("path", { class: "rail", d: `M${ax} ${ay}L${bx} ${by}` });
  }

  function drawStation({ id, title, text }) {
    const [x, y] = shape.at[id];
    const group = svg("g", { class: `station t-${id}`, transform: `translate(${x} ${y})` });
    const aside = shape.sideways ? { x: 0, "text-anchor": "middle" } : { x: 50, "text-anchor": "start" };
    const line = (className, dy, content) => svg("text", { class: className, ...aside, y: shape.sideways ? 54 + dy : -12 + dy }, content);
    counts[id] = line("count", 40, "");
    group.append(svg("circle", { class: "halo", r: 32 }), svg("path", { class: "icon", d: ICONS[id] }), line("title", 0, title), line("text", 20, text), counts[id]);
    return group;
  }

  function tell() {
    edgeName.textContent = edge || "this edge";
    for (const [id, { files, bytes: sum }] of Object.entries(seen)) {
      counts[id].textContent = files ? (id === "browser" ? `${files} files · ${bytes(sum)}` : `${files} · ${bytes(sum)}`) : "";
      counts[id].parentNode.classList.toggle("lit", files > 0);
    }
  }

  // There and back along the rail, each file on its own lane. The time is the way's length, not the true one.
  function move(answer, arrived) {
    const station = shape.at[answer.tier] ? answer.tier : "memory";
    const [[ax, ay], [bx, by]] = [shape.at.browser, shape.at[station]];
    const lane = (Math.random() - 0.5) * 40;
    const at = (px, py) => `translate(${px + (shape.sideways ? 0 : lane)}px, ${py + (shape.sideways ? lane : 0)}px)`;
    const radius = 3 + Math.min(11, Math.log2(1 + answer.sent / 2048));
    const dot = svg("circle", { class: `dot t-${answer.tier}`, r: radius.toFixed(1) });
    dots.append(dot);
    const far = TIERS[answer.tier].far;
    const trip = dot.animate(
      [
        { transform: `${at(ax, ay)} scale(.35)`, opacity: 0.9 },
        { transform: `${at(bx, by)} scale(.35)`, opacity: 0.9, offset: 0.42, easing: "cubic-bezier(.3,0,.3,1)" },
        { transform: `${at(bx, by)} scale(1)`, opacity: 1, offset: 0.5, easing: "cubic-bezier(.4,0,.2,1)" },
        { transform: `${at(ax, ay)} scale(1)`, opacity: 1, offset: 0.96 },
        { transform: `${at(ax, ay)} scale(.2)`, opacity: 0 },
      ],
      { duration: 700 + far * 420, delay: Math.random() * 900, fill: "both" },
    );
    trip.finished.then(arrived, arrived).finally(() => dot.remove());
  }

  narrow.addEventListener("change", draw);
  draw();
  let rounds = 0;
  return {
    begin() {
      rounds += 1;
      for (const id of Object.keys(seen)) seen[id] = { files: 0, bytes: 0 };
      tell();
    },
    trip(answer) {
      if (answer.edge && answer.edge !== edge) edgeName.textContent = edge = answer.edge;
      const round = rounds;
      const arrived = () => {
        if (round !== rounds) return;
        for (const id of ["browser", seen[answer.tier] ? answer.tier : null]) {
          if (!id) continue;
          seen[id].files += 1;
          seen[id].bytes += answer.sent;
        }
        tell();
      };
      if (still.matches || document.hidden) arrived();
      else move(answer, arrived);
    },
  };
}
