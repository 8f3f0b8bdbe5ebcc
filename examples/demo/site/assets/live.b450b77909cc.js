// The first page: asks for every file of the site, shows each answer in the list and on the map.
import { askAll, bytes, millis, TIERS } from "/assets/ask.3d8b0cd4d657.js";
import { drawMap } from "/assets/map.6692690a0998.js";

const KEEP_EVERY = 4000; // ms between two rounds while "keep asking" is on
let started = false;

export async function live() {
  if (started) return;
  started = true;
  const files = await (await fetch("/files.json", { cache: "no-store" })).json();
  const rows = new Map(files.map((file) => [file.path, addRow(file)]));
  const map = drawMap(document.querySelector("[data-map]"));
  const button = document.querySelector("[data-ask]");
  const keep = document.querySelector("[data-keep]");
  const own = ownCopies();
  let busy = false;

  async function round() {
    if (busy) return;
    busy = true;
    button.setAttribute("aria-disabled", "true");
    const answers = [];
    map.begin();
    await askAll(files.map((file) => file.path), (answer) => {
      answers.push(answer);
      fillRow(rows.get(answer.path), answer);
      map.trip(answer);
    });
    tellTotals(answers, own);
    button.removeAttribute("aria-disabled");
    busy = false;
  }

  button.addEventListener("click", round);
  keep.addEventListener("change", async () => {
    while (keep.checked && keep.isConnected) {
      if (!document.hidden) await round();
      await new Promise((done) => setTimeout(done, KEEP_EVERY));
    }
  });
  await round();
}

// What the page itself needed on load, and how much of that came out of the browser's own cache.
function ownCopies() {
  const loaded = performance.getEntriesByType("resource").filter((entry) => new URL(entry.name).pathname.startsWith("/assets/"));
  return { loaded: loaded.length, kept: loaded.filter((entry) => entry.transferSize === 0 && entry.decodedBodySize > 0).length };
}

function element(tag, className, ...children) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  made.append(...children);
  return made;
}

function addRow(file) {
  const name = element("a", "mono", file.name);
  name.href = `/app/file${file.path}`;
  name.title = file.path;
  const row = element("tr", "", element("th", "name", name, element("span", "narrow soft")), ...["num wide", "wide", "", "wide", "num"].map((c) => element("td", c, "·")));
  row.firstChild.scope = "row";
  document.querySelector("[data-rows]").append(row);
  return row;
}

function fillRow(row, answer) {
  const [name, sent, coding, found, edge, took] = row.children;
  const saved = answer.coding && answer.whole > answer.sent ? `${answer.coding} −${Math.round(100 - (100 * answer.sent) / answer.whole)}%` : "";
  name.querySelector(".narrow").textContent = [bytes(answer.sent), saved].filter(Boolean).join(" · ");
  sent.replaceChildren(bytes(answer.sent));
  coding.replaceChildren(saved ? element("span", "coding", saved) : element("span", "soft", "as it is"));
  found.replaceChildren(element("span", `chip t-${answer.tier}`, TIERS[answer.tier].label));
  edge.replaceChildren(element("span", "mono", answer.edge || "·"));
  const bar = element("i", `bar t-${answer.tier}`);
  bar.style.setProperty("--share", Math.min(1, Math.log10(1 + answer.took) / 2.5).toFixed(3));
  took.replaceChildren(element("span", "", millis(answer.took)), bar);
  row.animate?.([{ backgroundColor: `color-mix(in srgb, var(--${answer.tier}) 16%, transparent)` }, { backgroundColor: "transparent" }], { duration: 900, easing: "ease-out" });
}

function tellTotals(answers, own) {
  const counts = {};
  for (const { tier } of answers) counts[tier] = (counts[tier] ?? 0) + 1;
  const sent = answers.reduce((sum, a) => sum + a.sent, 0);
  const whole = answers.reduce((sum, a) => sum + a.whole, 0);
  const times = answers.map((a) => a.took).sort((a, b) => a - b);
  const present = Object.keys(TIERS).filter((tier) => counts[tier]);

  const bar = element("div", "share");
  bar.setAttribute("role", "img");
  bar.setAttribute("aria-label", present.map((tier) => `${counts[tier]} from ${TIERS[tier].says}`).join(", "));
  for (const tier of present) {
    const part = element("span", `t-${tier}`);
    part.style.flexGrow = counts[tier];
    bar.append(part);
  }
  const legend = element("p", "legend", ...present.map((tier) => element("span", `chip t-${tier}`, `${counts[tier]} ${TIERS[tier].label}`)));
  document.querySelector("[data-facts]").replaceChildren(
    element("div", "fact broad", element("b", "", `${answers.length} files`), bar, legend),
    fact(bytes(sent), whole > sent ? `sent for ${bytes(whole)}: encodings were made when the site was published` : "sent"),
    fact(millis(times[Math.floor(times.length / 2)] ?? 0), `half of the answers took less; the slowest ${millis(times.at(-1) ?? 0)}`),
    fact(`${own.kept} of ${own.loaded}`, "assets of this page were your browser’s own copies when it loaded"),
  );
  document.querySelector("[data-said]").textContent = `Asked for ${answers.length} files: ${present.map((tier) => `${counts[tier]} from ${TIERS[tier].says}`).join(", ")}.`;
}

const fact = (number, text) => element("div", "fact", element("b", "", number), element("p", "soft", text));
