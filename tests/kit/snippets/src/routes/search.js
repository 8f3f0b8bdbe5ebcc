// A search over the names of the languages.
import { createElement as h, useState } from "react";
import Fuse from "fuse.js";
export default function Search({ languages }) {
  const [word, ask] = useState("");
  const found = new Fuse(Object.keys(languages), { threshold: 0.4 }).search(word);
  return h("section", null,
    h("input", { className: "form-control", value: word, onChange: (event) => ask(event.target.value) }),
    h("ul", null, found.map(({ item }) => h("li", { key: item }, item))));
}
