// The app's first module: the frame, and the view that the path names. Views are loaded when they are first seen.
import { Component, type ReactNode, StrictMode, Suspense, lazy, startTransition, useEffect } from "react";
import { createRoot } from "react-dom/client";
import { Panel } from "./rim/panel";
import { Link, usePath } from "./router";
import { placeOf } from "./places";
import { Today } from "./pages/today";
import "./style.css";

const PlacePage = lazy(() => import("./pages/place"));
const Compare = lazy(() => import("./pages/compare"));

function App() {
  const path = usePath();
  const [view = "", ...rest] = path.split("/").filter(Boolean);
  const place = view === "place" ? placeOf(rest[0] ?? "") : undefined;
  const title = place ? place.name : view === "compare" ? "Compare" : view === "" ? "Today" : "Not found";
  useEffect(() => {
    document.title = `${title} · Daylight`;
  }, [title]);
  return (
    <>
      <a className="skip" href="#main">
        Skip to the page
      </a>
      <header className="top">
        <Link className="brand" href="/">
          <Mark /> Daylight
        </Link>
        <nav aria-label="Views">
          <Link href="/" aria-current={view === "" || view === "place" ? "page" : undefined}>
            Places
          </Link>
          <Link href="/compare/tromso/berlin/quito" aria-current={view === "compare" ? "page" : undefined}>
            Compare
          </Link>
        </nav>
      </header>
      <main id="main" tabIndex={-1}>
        <Unloaded key={path}>
          <Suspense fallback={<p className="waiting">One moment…</p>}>
            {view === "" && <Today />}
            {place && <PlacePage place={place} />}
            {view === "compare" && <Compare slugs={rest} />}
            {title === "Not found" && <NotFound />}
          </Suspense>
        </Unloaded>
      </main>
      <footer>
        <p>
          Computed on your device: no cookies, no trackers, nothing sent anywhere. Typeface{" "}
          <a href="https://rsms.me/inter/">Inter</a>, SIL Open Font License.
        </p>
      </footer>
      <Panel />
    </>
  );
}

/** A view whose file cannot be had: offline, and never stored. */
class Unloaded extends Component<{ children: ReactNode }, { failed: boolean }> {
  override state = { failed: false };
  static getDerivedStateFromError = () => ({ failed: true });
  override render() {
    if (!this.state.failed) return this.props.children;
    return (
      <div className="intro" role="alert">
        <h1>This view is not on your device yet</h1>
        <p className="lead">It comes as soon as there is a network again.</p>
        <button onClick={() => location.reload()}>Try again</button>
      </div>
    );
  }
}

const NotFound = () => (
  <div className="intro">
    <h1>Nothing under this address</h1>
    <p className="lead">
      <Link href="/">All places</Link>
    </p>
  </div>
);

const Mark = () => (
  <svg viewBox="0 0 32 32" width="30" height="30" aria-hidden="true">
    <circle className="mark-sun" cx="16" cy="16" r="7" />
    <path className="mark-ground" d="M2 19h28v11H2z" />
    <path className="mark-line" d="M2 19h28" />
  </svg>
);

// In slices: eighteen skies are work for a slow phone, and a tap comes first.
startTransition(() =>
  createRoot(document.getElementById("root")!).render(
    <StrictMode>
      <App />
    </StrictMode>,
  ),
);
