// The page: its heading, its links, the route that is open. Each route is a chunk of its own (tests/kit/bigapp).
import { createElement as h, lazy, Suspense, useEffect, useState } from "react";
import { createRoot } from "react-dom/client";
import "bootstrap/dist/css/bootstrap.min.css";
import "./main.css";
import { icons } from "./icons.js";
import { languages } from "./languages.js";

const routes = {
  notes: lazy(() => import("./routes/notes.js")),
  search: lazy(() => import("./routes/search.js")),
  calendar: lazy(() => import("./routes/calendar.js")),
  code: lazy(() => import("./routes/code.js")),
};
function App() {
  const [route, go] = useState(location.hash.slice(1) || "notes");
  useEffect(() => {
    const follow = () => go(location.hash.slice(1));
    addEventListener("hashchange", follow);
    return () => removeEventListener("hashchange", follow);
  }, []);
  const links = Object.keys(routes).map((name) => h("a", { key: name, href: `#${name}`, className: "nav-link" }, name));
  return h("div", { className: "container" },
    h("h1", null, "Snippets"),
    h("nav", { className: "nav" }, links),
    h("p", { className: "icons" }, Object.keys(icons).slice(0, 12).map((name) => h("img", { key: name, alt: name, src: icons[name] }))),
    h(Suspense, { fallback: "…" }, h(routes[route] ?? routes.notes, { languages })));
}
createRoot(document.getElementById("root")).render(h(App));
