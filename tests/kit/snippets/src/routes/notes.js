// Notes in Markdown, and how they look.
import { createElement as h, useState } from "react";
import { marked } from "marked";
export default function Notes() {
  const [text, write] = useState("# Notes\n\nWrite *here*.");
  return h("section", null,
    h("textarea", { className: "form-control", value: text, onChange: (event) => write(event.target.value) }),
    h("article", { dangerouslySetInnerHTML: { __html: marked.parse(text) } }));
}
