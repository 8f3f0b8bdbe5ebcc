// A piece of code, in colours: the language comes when it is needed.
import { createElement as h, useEffect, useState } from "react";
import hljs from "highlight.js/core";
export default function Code({ languages }) {
  const [html, show] = useState("");
  useEffect(() => {
    languages.python().then((it) => {
      hljs.registerLanguage("python", it.default);
      show(hljs.highlight("print('hello')", { language: "python" }).value);
    });
  }, []);
  return h("pre", null, h("code", { dangerouslySetInnerHTML: { __html: html } }));
}
