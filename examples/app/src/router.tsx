// Routes are paths, so each view is a link that can be shared: Rim answers an unknown one with index.html (`spa`), and
// the worker does the same offline.
import { type AnchorHTMLAttributes, type MouseEvent, useSyncExternalStore } from "react";

const changed = new EventTarget();
addEventListener("popstate", () => changed.dispatchEvent(new Event("path")));

export function go(path: string): void {
  history.pushState(null, "", path);
  changed.dispatchEvent(new Event("path"));
  scrollTo({ top: 0 });
}

function subscribe(told: () => void): () => void {
  changed.addEventListener("path", told);
  return () => changed.removeEventListener("path", told);
}

export const usePath = (): string => useSyncExternalStore(subscribe, () => location.pathname);

export function Link({ href, ...rest }: AnchorHTMLAttributes<HTMLAnchorElement> & { href: string }) {
  const follow = (event: MouseEvent): void => {
    if (event.button || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
    event.preventDefault();
    go(href);
  };
  return <a href={href} onClick={follow} {...rest} />;
}
