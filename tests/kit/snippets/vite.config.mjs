// How the app is built. The packages are the kit's, unpacked (tests/kit/npm): KEPT is their folder, DOM and SCHEDULER
// which releases of react-dom and its scheduler; react is the same in both, as its chunk is.
const at = (spec) => `${process.env.KEPT}/${spec}/package`;
const packages = {
  "react$": `${at("react@18.2.0")}/index.js`,
  "react-dom/client$": `${at(`react-dom@${process.env.DOM}`)}/client.js`,
  "react-dom$": `${at(`react-dom@${process.env.DOM}`)}/index.js`,
  "scheduler$": `${at(`scheduler@${process.env.SCHEDULER}`)}/index.js`,
  "bootstrap/": `${at("bootstrap@5.3.3")}/`,
  "marked$": `${at("marked@12.0.2")}/lib/marked.esm.js`,
  "fuse\\.js$": `${at("fuse.js@7.0.0")}/dist/fuse.mjs`,
  "dayjs$": `${at("dayjs@1.11.11")}/esm/index.js`,
  "highlight\\.js/": `${at("highlight.js@11.9.0")}/es/`,
};
const chunk = (id) => {
  if (/\/(react-dom|scheduler)@/.test(id)) return "react-dom";
  if (/\/react@|commonjsHelpers|vite\/preload/.test(id)) return "react";
};

export default {
  root: import.meta.dirname,
  resolve: { alias: Object.entries(packages).map(([name, replacement]) => ({ find: RegExp(`^${name}`), replacement })) },
  build: {
    assetsInlineLimit: 0,
    commonjsOptions: { include: [/\/(react|react-dom|scheduler)@/, /\/highlight\.js@[^/]*\/package\/lib\//] },
    rollupOptions: { output: { manualChunks: chunk } },
  },
};
