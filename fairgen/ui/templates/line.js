// Whether what the page shows is what the server has. Gradio's streams end with their connection, and then the page
// stands still; the work goes on at the server. So the page is loaded anew once the server answers again, and it
// takes up what it showed before.
{
const CALM = 1500, EAGER = 500, STALE = 6000, LATE = 3, STOP = "fairgen-stop", TAB = "fairgen-tab";
let boot = null, broken = false, late = 0, shown = {}, waiting = null;
const marks = () => [...document.querySelectorAll(".fg-seen")].map((node) => ({ ...node.dataset }));
const running = () => marks().filter((mark) => mark.running === "1");
const asked = () => JSON.parse(sessionStorage.getItem(STOP) || "null");
const stale = (now) => running().some((mark) => {
  const server = now.runs[mark.run];
  const before = shown[mark.run];
  if (!before || before.version !== mark.version) shown[mark.run] = { version: mark.version, when: Date.now() };
  if (!server || (server.running && server.version <= Number(mark.version))) { shown[mark.run].when = Date.now(); return false; }
  return Date.now() - shown[mark.run].when > STALE;
});
const look = async () => {
  clearTimeout(waiting);
  try {
    const runs = running().map(({ run, key }) => ({ id: run, key })), stop = asked();
    const answer = await fetch("pulse", {
      method: "POST", cache: "no-store", headers: { "content-type": "application/json" },
      body: JSON.stringify({ runs, stop }), signal: AbortSignal.timeout(3000),
    });
    if (answer.status === 401) return location.reload();
    const now = await answer.json();
    if (stop) sessionStorage.removeItem(STOP);
    const other = boot !== null && boot !== now.boot;
    boot = now.boot;
    if (other || (broken && runs.length) || stale(now)) return location.reload();
    broken = false;
    late = 0;
  } catch (error) {
    // A busy server answers late, and its streams go on: only several times in a row mean that the line has dropped.
    late += 1;
    broken = broken || error.name !== "TimeoutError" || late >= LATE;
  }
  waiting = setTimeout(look, broken ? EAGER : CALM);
};
const plain = window.fetch;
// The server ends its stream of answers when it owes none. Gradio's page takes what it asks in that moment for heard,
// since the end has not come yet, and never sees the answer: then the stream goes on in a new one.
const asking = new Set(), owed = new Set();
const ANSWERED = /"msg":"process_completed","event_id":"(\w+)"/g, END = /data: \{"msg":"close_stream".*\n\n/;
const ask = (given) => {
  const answer = plain(...given).then(async (found) => {
    if (found.ok) owed.add((await found.clone().json()).event_id);
    return found;
  });
  const over = () => asking.delete(answer);
  asking.add(answer);
  answer.then(over, over);
  return answer;
};
const hear = async (given) => {
  const answer = await plain(...given);
  if (!answer.body) return answer;
  const text = new TextDecoder(), bytes = new TextEncoder();
  let reader = answer.body.getReader(), held = "";
  const next = async (sink) => {
    const { done, value } = await reader.read();
    if (done) return sink.close();
    held += text.decode(value, { stream: true });
    const end = held.lastIndexOf("\n\n"), whole = end < 0 ? "" : held.slice(0, end + 2);
    held = held.slice(whole.length);
    for (const [, event] of whole.matchAll(ANSWERED)) owed.delete(event);
    if (!END.test(whole)) return whole ? sink.enqueue(bytes.encode(whole)) : next(sink);
    while (asking.size) await Promise.allSettled(asking);
    if (!owed.size) return sink.enqueue(bytes.encode(whole));
    owed.clear();  // the new stream ends when these are answered, too
    sink.enqueue(bytes.encode(whole.replace(END, "")));
    reader = (await plain(...given)).body.getReader();
  };
  const body = new ReadableStream({
    pull: (sink) => next(sink).catch((error) => {
      if (error.name !== "AbortError") { broken = true; look(); }
      sink.error(error);
    }),
    cancel: (reason) => reader.cancel(reason),
  });
  return new Response(body, { status: answer.status, statusText: answer.statusText, headers: answer.headers });
};
window.fetch = (...given) => {
  const where = String(given[0]?.url || given[0]);
  return where.includes("/queue/join") ? ask(given) : where.includes("/queue/data") ? hear(given) : plain(...given);
};
document.addEventListener("click", (event) => {
  // Whoever goes on takes the stop back, which may not have been repeated to the server yet.
  if (event.target.closest?.("#fg-go-on, #fg-audit-go-on, #fg-past-resume")) return sessionStorage.removeItem(STOP);
  if (!event.target.closest?.(".fg-halt")) return;
  const node = [...document.querySelectorAll(".fg-seen[data-running='1']")].find((found) => found.closest(".fg-results")?.offsetParent);
  if (node) sessionStorage.setItem(STOP, JSON.stringify({
    id: node.dataset.run, key: node.dataset.key, orders: Number(node.dataset.orders),
  }));
}, true);
// The tab that was open, after a reload.
document.addEventListener("click", (event) => {
  const tab = event.target.closest?.("button[role=tab]");
  if (tab) sessionStorage.setItem(TAB, tab.textContent.trim());
});
const open = sessionStorage.getItem(TAB);
const reopen = (tries) => {
  const tab = [...document.querySelectorAll("button[role=tab]")].find((one) => one.textContent.trim() === open);
  if (!tab && tries) setTimeout(reopen, 100, tries - 1);  // the page is still being built
  else if (tab?.getAttribute("aria-selected") === "false") tab.click();
};
if (open) reopen(100);
waiting = setTimeout(look, CALM);
}
