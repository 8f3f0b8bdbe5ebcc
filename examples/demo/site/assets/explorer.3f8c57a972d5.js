// The explorer, a route that exists only in the browser: one file, asked for in several ways, each answer written down.
import { ask, bytes, millis, TIERS } from "/assets/ask.3d8b0cd4d657.js";

const SHOWN = ["content-type", "content-length", "content-encoding", "content-range", "accept-ranges", "cache-control", "etag", "vary", "cache-status", "age", "server-timing", "access-control-allow-origin", "x-content-type-options"];

export async function explore(place, route) {
  const files = await (await fetch("/files.json")).json();
  const path = decodeURIComponent(route).replace(/^\/app(\/file)?/, "") || "/";
  const file = route.startsWith("/app/file/") && files.find((candidate) => candidate.path === path);
  const list = element("nav", { className: "files", ariaLabel: "Files" }, ...files.map((entry) => link(entry, file)));
  const page = element("div", { className: "inside" });
  place.replaceChildren(element("h1", {}, "Explorer"), element("div", { className: "explorer" }, list, page));
  list.querySelector("[aria-current]")?.scrollIntoView({ block: "nearest" });
  if (file) await inside(page, file);
  else welcome(page, route);
}

function element(tag, properties, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

function link(entry, chosen) {
  const made = element("a", { className: "mono", href: `/app/file${entry.path}`, title: entry.path }, entry.name);
  if (entry === chosen) made.setAttribute("aria-current", "page");
  return made;
}

function welcome(page, route) {
  const missing = "/assets/never-was.0123456789ab.js";
  const tries = element("ol", { className: "tries" });
  const button = element("button", { type: "button" }, "Ask for a script that is missing");
  button.addEventListener("click", async () => {
    const answer = await ask(missing);
    tries.append(line(`GET ${missing}`, answer, answer.status === 404 ? "An honest 404: a chunk that is missing is never the shell" : ""));
  });
  page.append(
    element("h2", {}, route === "/app/" ? "Choose a file" : "No such file, but a page all the same"),
    element("p", { className: "lead" }, "There is no file under ", element("code", {}, route), ". The edge answered your navigation with the site’s shell, and this script made a page of it. A script, a style or a picture would not get the shell."),
    element("p", { className: "actions" }, button),
    tries,
  );
}

async function inside(page, file) {
  const first = await ask(file.path);
  const facts = element("p", { className: "soft" }, `${bytes(first.whole)}, ${first.headers.get("content-type") ?? "no type"}, found in `, element("span", { className: `chip t-${first.tier}` }, TIERS[first.tier].label), first.edge ? ` by ${first.edge}` : "");
  const tries = element("ol", { className: "tries" });
  page.append(element("h2", { className: "mono" }, file.path), preview(file, first), facts, tries);
  tries.append(line("GET", first, first.coding ? `${bytes(first.sent)} of ${first.coding} for ${bytes(first.whole)}` : `${bytes(first.sent)}, as it is`));

  const proof = await proved(file, first.body);
  if (proof) tries.append(element("li", {}, element("b", { className: "mono" }, "sha-256"), element("span", {}, proof)));

  const etag = first.headers.get("etag");
  if (etag) tries.append(line(`If-None-Match: ${etag.slice(0, 18)}…"`, await ask(file.path, { headers: { "If-None-Match": etag } }), "not one byte of the file, when nothing changed"));
  const part = await ask(file.path, { headers: { Range: "bytes=0-0" } });
  tries.append(line("Range: bytes=0-0", part, part.status === 206 ? `${part.headers.get("content-range")}: one byte, one block` : "this server sends it whole"));
  const head = await ask(file.path, { method: "HEAD" });
  tries.append(line("HEAD", head, "the same head, no body"));
  page.append(element("h3", {}, "What the edge said"), headers(first));
}

function line(asked, answer, text) {
  return element("li", {}, element("b", { className: "mono" }, asked), element("span", { className: `status s${String(answer.status)[0]}` }, String(answer.status)), element("span", { className: "soft" }, `${millis(answer.took)}${text ? `. ${text}` : ""}`));
}

function preview(file, answer) {
  const type = answer.headers.get("content-type") ?? "";
  if (type.startsWith("image/")) return element("img", { className: "preview", src: file.path, alt: `The file ${file.name}` });
  if (!/text|json|javascript|svg/.test(type)) return element("span", {});
  const code = element("pre", { className: "preview", tabIndex: 0 }, new TextDecoder().decode(answer.body.slice(0, 1200)));
  code.setAttribute("aria-label", "The file’s first characters");
  return code;
}

// The name of a hashed file holds the first digits of its SHA-256. This browser computes it again from the bytes it got.
async function proved(file, body) {
  const inName = /\.([0-9a-f]{12,})\.[a-z0-9]+$/.exec(file.path)?.[1];
  if (!inName || !crypto.subtle) return "";
  const digest = [...new Uint8Array(await crypto.subtle.digest("SHA-256", body))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  return digest.startsWith(inName) ? `✓ your browser hashed the bytes: ${digest.slice(0, inName.length)}…, as the name says` : `does not match the name: ${digest.slice(0, 16)}…`;
}

function headers(answer) {
  const list = element("dl", { className: "headers" });
  for (const name of SHOWN) {
    const value = answer.headers.get(name);
    if (value !== null) list.append(element("dt", {}, name), element("dd", {}, value));
  }
  return list;
}
