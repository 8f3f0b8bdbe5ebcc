// The panel: where this visit's files came from, what that saved, which release runs; and the word that a new one is
// here. Small and out of the way until it is asked.
import { type KeyboardEvent, useEffect, useRef, useState } from "react";
import { type Ledger, type Source, saved, size, sumOf } from "./ledger";
import { type Visit, useVisit } from "./watch";

const SOURCES: readonly [Source, string, string][] = [
  ["worker", "Worker", "stored here, checked against its hash"],
  ["delta", "Delta", "only what differs from the last version"],
  ["browser", "Browser", "its own cache"],
  ["edge", "Edge", "over the network, whole"],
  ["gateway", "Gateway", "another host, by content hash"],
];

const SILENT = "All of it from this device. The release, and what is stored, are told when the network is back.";

export function Panel() {
  const visit = useVisit();
  const [open, setOpen] = useState(() => sessionStorage.getItem("panel") === "open");
  const [later, setLater] = useState("");
  const button = useRef<HTMLButtonElement>(null);
  useEffect(() => sessionStorage.setItem("panel", open ? "open" : ""), [open]);
  const close = (event: KeyboardEvent): void => {
    if (event.key !== "Escape") return;
    setOpen(false);
    button.current?.focus();
  };
  const asks = visit.next && visit.next !== later;
  return (
    <aside className="rim" aria-label="How this visit was delivered" onKeyDown={close}>
      <div role="status">{asks && <Update wait={() => setLater(visit.next)} />}</div>
      {open && <Details visit={visit} />}
      <button ref={button} className="pill" aria-expanded={open} aria-controls="rim-details" onClick={() => setOpen(!open)}>
        <span className={visit.online ? "dot" : "dot off"} aria-hidden="true" />
        {label(visit)}
      </button>
    </aside>
  );
}

function label({ ledger, online }: Visit): string {
  if (!online) return "Offline, and working";
  const bytes = saved(ledger);
  return bytes ? `${size(bytes)} saved` : "First visit";
}

function Update({ wait }: { wait: () => void }) {
  return (
    <div className="update">
      <p>
        <strong>A new version is ready.</strong> It is on your device already.
      </p>
      <button className="primary" onClick={() => location.reload()}>
        Load it
      </button>
      <button onClick={wait}>Later</button>
    </div>
  );
}

function Details({ visit }: { visit: Visit & { check: () => Promise<void> } }) {
  const { ledger, lies } = visit;
  const all = sumOf(ledger);
  const bytes = saved(ledger);
  return (
    <section className="details" id="rim-details" aria-labelledby="rim-title">
      <h2 id="rim-title">{bytes ? `${size(bytes)} not sent again` : "A first visit"}</h2>
      <p className="told">
        This visit used {size(all.bytes)} in {all.files} files; {size(all.wire)} crossed the network.
      </p>
      <Bar ledger={ledger} />
      <table>
        <thead>
          <tr>
            <th scope="col">From</th>
            <th scope="col">Files</th>
            <th scope="col">Size</th>
            <th scope="col">Sent</th>
          </tr>
        </thead>
        <tbody>
          {SOURCES.map(([source, name, why]) => {
            const sum = sumOf(ledger, source);
            if (!sum.files && source !== "worker" && source !== "edge") return null;
            return (
              <tr key={source} className={sum.files ? "" : "none"} data-source={source}>
                <th scope="row">
                  <i className={`swatch ${source}`} aria-hidden="true" />
                  <span>
                    {name} <small>{why}</small>
                  </span>
                </th>
                <td>{sum.files}</td>
                <td>{size(sum.bytes)}</td>
                <td>{size(sum.wire)}</td>
              </tr>
            );
          })}
        </tbody>
      </table>
      {lies.length > 0 && (
        <p className="lie" role="alert">
          Refused: wrong bytes for {lies.join(", ")}. Taken from elsewhere.
        </p>
      )}
      <State visit={visit} />
    </section>
  );
}

function Bar({ ledger }: { ledger: Ledger }) {
  const total = sumOf(ledger).bytes || 1;
  return (
    <div className="share" aria-hidden="true">
      {SOURCES.map(([source]) => {
        const { bytes } = sumOf(ledger, source);
        return bytes > 0 && <span key={source} className={source} style={{ flexGrow: bytes / total }} />;
      })}
    </div>
  );
}

function State({ visit }: { visit: Visit & { check: () => Promise<void> } }) {
  const { client, release, stored, ahead, online, update } = visit;
  const [asking, ask] = useState(false);
  if (!client) return <p className="told">{navigator.serviceWorker?.controller ? SILENT : "Not served by Rim here: no worker."}</p>;
  const storing = ahead.done < ahead.total;
  const idle = online && !asking; // said by aria-disabled: a button that is disabled loses the focus
  const check = (): void => {
    if (!idle) return;
    ask(true);
    void visit.check().finally(() => ask(false));
  };
  return (
    <>
      <dl>
        <div>
          <dt>On this device</dt>
          <dd>
            {storing ? `storing ${ahead.done} of ${ahead.total}` : stored.files ? `${stored.files} files, ${size(stored.bytes)}` : "nothing yet"}
          </dd>
        </div>
        {update && (
          <div>
            <dt>Stored ahead</dt>
            <dd>
              {size(update.bytes)} in {update.files} {update.files === 1 ? "file" : "files"}, sent as {size(update.wire)}
            </dd>
          </div>
        )}
        <div>
          <dt>Release</dt>
          <dd title={release}>{release ? `…${release.slice(-8)}` : "not known yet"}</dd>
        </div>
      </dl>
      <button className="check" onClick={check} aria-disabled={!idle}>
        {online ? (asking ? "Checking…" : "Check for a new version") : "Offline: no check possible"}
      </button>
    </>
  );
}
