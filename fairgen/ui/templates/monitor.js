// Shows the monitors as they stand, as long as somebody sees them. Their figures live in a shadow tree, since they have
// the style of the reports; what did not change there is left alone, so nothing flickers and nothing loses the focus.
const EVERY = 2000, LOST = "The server does not answer. The figures are those of ";
const host = element.querySelector(".fg-monitor-shown"), lost = element.querySelector(".fg-monitor-lost");
let root = null, tag = "", when = null, seen = false, waiting = null, asking = false;
const sync = (old, fresh) => {
  if (old.nodeType !== fresh.nodeType || old.nodeName !== fresh.nodeName) return old.replaceWith(fresh);
  if (old.nodeType !== Node.ELEMENT_NODE) { if (old.data !== fresh.data) old.data = fresh.data; return; }
  for (const { name } of [...old.attributes]) if (!fresh.hasAttribute(name)) old.removeAttribute(name);
  for (const { name, value } of fresh.attributes) if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  align(old, fresh);
};
const align = (old, fresh) => {
  const before = [...old.childNodes], after = [...fresh.childNodes];
  after.forEach((node, at) => { if (before[at]) sync(before[at], node); else old.append(node); });
  before.slice(after.length).forEach((node) => node.remove());
};
const show = (html) => {
  const made = document.createElement("template");
  made.innerHTML = html;
  root ??= host.attachShadow({ mode: "open" });
  align(root, made.content);
};
const look = async () => {
  clearTimeout(waiting);
  if (!host.isConnected || !seen || document.hidden || asking) return;
  asking = true;
  try {
    const answer = await fetch("watched", {
      cache: "no-store", headers: tag ? { "if-none-match": tag } : {}, signal: AbortSignal.timeout(20000),
    });
    if (answer.status === 401) return location.reload();
    if (answer.status !== 200 && answer.status !== 304) throw new Error(answer.status);
    if (answer.status === 200) { show(await answer.text()); tag = answer.headers.get("etag") || ""; }
    when = new Date();
    lost.textContent = "";
  } catch {
    lost.textContent = when ? `${LOST}${when.toLocaleTimeString()}.` : "The server does not answer.";
  } finally { asking = false; }
  waiting = setTimeout(look, EVERY);
};
new IntersectionObserver((all) => { seen = all.at(-1).isIntersecting; look(); }).observe(host.parentElement);
document.addEventListener("visibilitychange", look);
