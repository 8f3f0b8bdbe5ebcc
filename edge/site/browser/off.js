// The worker that ends the worker: served under /.rim/sw.js where a site has none, or has it no more (`rim sw off`).
//
// It has no fetch handler, so from its first second every request goes to the network. It takes along what ours stored,
// unregisters itself, and loads the pages anew that the old worker answered for. Only those: a page that comes from the
// network is nobody's client, so nothing here can go round in circles. While one tab still is its client, another that
// is back already can register it again, and that keeps it, without another activation: client.js says so, and it goes.
addEventListener("install", () => self.skipWaiting());
addEventListener("activate", (event) => event.waitUntil(leave()));
addEventListener("message", (event) => event.waitUntil(registration.unregister()));

async function leave() {
  const names = (await caches.keys()).filter((name) => name.startsWith("rim:"));
  await Promise.all(names.map((name) => caches.delete(name)));
  await registration.unregister();
  for (const client of await clients.matchAll({ type: "window" })) client.navigate(client.url).catch(() => {});
}
