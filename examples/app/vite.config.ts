// How Vite builds the app. Names end in a hash of the content, so that Rim answers them immutable.
import { defineConfig } from "vite";

export default defineConfig({
  esbuild: { jsx: "automatic" },
  build: {
    target: "es2022",
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    rollupOptions: {
      // Rim answers it on the site's own host; it is no file of the build.
      external: ["/.rim/client.js"],
      output: {
        // Dependencies in files of their own: a new version of one is a delta against the old one, the others stay.
        manualChunks: (id) =>
          /node_modules\/(react|react-dom|scheduler)\//.test(id)
            ? "react"
            : /node_modules\/(chart\.js|@kurkle)\//.test(id)
              ? "chart"
              : undefined,
      },
    },
  },
});
