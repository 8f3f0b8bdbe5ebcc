// The door: finds out which page this is and hands over. The live page and the explorer are one document (index.html),
// because the edge answers every navigation that no file matches with it; /app/… is a route only in here.
import { ask, TIERS, bytes, millis } from "/assets/ask.js";

const page = document.body.dataset.page;

markNav();
tellWhoServed();
if (page === "live") route();
if (page === "pictures") captions();
if (page === "how") otherEdges();

function markNav() {
  for (const link of document.querySelectorAll("nav a")) {
    const own = new URL(link.href).pathname;
    const here = own === "/" ? location.pathname === "/" : location.pathname.startsWith(own);
    link.toggleAttribute("data-here", here);
    if (here) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
}

async function route() {
  const exploring = location.pathname !== "/";
  document.querySelector("[data-view=live]").hidden = exploring;
  document.querySelector("[data-view=explorer]").hidden = !exploring;
  if (exploring) {
    const { explore } = await import("/assets/explorer.js");
    explore(document.querySelector("[data-view=explorer]"), location.pathname);
  } else {
    const { live } = await import("/assets/live.js");
    live();
    captions();
  }
}

// Links below /app/ change the route without loading a page; all others are ordinary links.
document.addEventListener("click", (event) => {
  const link = event.target.closest?.("a");
  if (page !== "live" || !link || event.metaKey || event.ctrlKey || event.shiftKey || link.origin !== location.origin) return;
  if (!link.pathname.startsWith("/app/") && !(link.pathname === "/" && location.pathname !== "/")) return;
  event.preventDefault();
  history.pushState(null, "", link.href);
  route().then(() => {
    markNav();
    document.querySelector("#main").focus({ preventScroll: true });
    scrollTo(0, 0);
  });
});
addEventListener("popstate", () => page === "live" && route().then(markNav));

// Who answers here, and which release it serves. Both come from the edge; without one, we say so.
async function tellWhoServed() {
  const line = document.querySelector("[data-served]");
  const { edge } = await ask("/"); // not the route: below /app/ there is no file, and a fetch gets an honest 404
  const release = edge ? await releaseId() : "";
  for (const place of document.querySelectorAll("[data-edge]")) place.textContent = edge || "a server without a name";
  line.textContent = edge ? `Served by ${edge}` : "Served by a server that sends no Cache-Status";
  if (release) line.append(", release ", Object.assign(document.createElement("code"), { textContent: short(release), title: release }));
}

async function releaseId() {
  const { status, body } = await ask("/.rim/health", { headers: { Accept: "application/json" } });
  try {
    return status === 200 ? (JSON.parse(new TextDecoder().decode(body)).release ?? "") : "";
  } catch {
    return ""; // an edge that only says "ok"
  }
}

const short = (cid) => (cid.length > 20 ? `${cid.slice(0, 8)}…${cid.slice(-6)}` : cid);

// Below each picture: the file the browser chose, and where the edge found it.
function captions() {
  for (const figure of document.querySelectorAll("figure:has([data-caption])")) {
    const image = figure.querySelector("img");
    const chosen = () => caption(figure.querySelector("[data-caption]"), image.currentSrc);
    if (image.complete && image.currentSrc) chosen();
    else image.addEventListener("load", chosen, { once: true });
  }
}

async function caption(place, source) {
  const path = new URL(source).pathname;
  const answer = await ask(path);
  const file = Object.assign(document.createElement("a"), { className: "mono", href: `/app/file${path}`, title: path, textContent: path.split("/").at(-1).replace(/\.[0-9a-f]{12,}\./, ".") });
  const facts = Object.assign(document.createElement("span"), { className: "soft", textContent: `${bytes(answer.sent)} · ${millis(answer.took)}` });
  place.replaceChildren(file, facts, chip(answer.tier, answer.edge));
}

function chip(tier, edge = "") {
  const said = Object.assign(document.createElement("span"), { className: `chip t-${tier}`, textContent: TIERS[tier].label });
  said.title = `Found in ${TIERS[tier].says}${edge ? `, answered by ${edge}` : ""}`;
  return said;
}

// `rim up` gives its edges ports in a row; where the edges are named otherwise, there is nothing to offer.
function otherEdges() {
  const place = document.querySelector("[data-others]");
  const port = Number(location.port);
  if (!location.hostname.endsWith(".localhost") || !port) return;
  const first = port >= 8080 && port < 8090 ? 8080 : port;
  const links = [0, 1, 2].map((i) => first + i).filter((p) => p !== port).map((p) => {
    const url = new URL(location.href);
    url.port = String(p);
    return Object.assign(document.createElement("a"), { href: url.href, textContent: `on port ${p}` });
  });
  place.replaceChildren("from another edge: ", links[0], " or ", links[1]);
}
