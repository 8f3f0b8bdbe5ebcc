// All icons by name: each is a file with a hash in its name.
const found = import.meta.glob("./icons/*.svg", { eager: true, query: "?url", import: "default" });
export const icons = Object.fromEntries(Object.entries(found).map(([path, url]) => [path.slice(8, -4), url]));
