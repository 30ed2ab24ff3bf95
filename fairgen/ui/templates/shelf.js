// The keys of this browser's runs, newest first; every tab of it sees the same ones. What a tab showed last it finds again after a reload.
const NAME = "fairgen-runs", SHOWN = "fairgen-shown", DRAWN = "fairgen-drawn", MOST = 30;
const list = (store, name, good) => {
  try {
    const kept = JSON.parse(store.getItem(name));
    return Array.isArray(kept) ? kept.filter(good).slice(0, MOST) : [];
  } catch { return []; }  // nothing is kept where the browser forbids it
};
const put = (store, name, kept) => { try { store.setItem(name, JSON.stringify(kept.slice(0, MOST))); } catch { } };
const read = () => list(localStorage, NAME, (run) => run && run.id && run.key);
const shown = () => list(sessionStorage, SHOWN, (id) => typeof id === "string");
const keep = (run) => {
  put(localStorage, NAME, [run, ...read().filter((other) => other.id !== run.id)]);
  put(sessionStorage, SHOWN, [run.id, ...shown().filter((id) => id !== run.id)]);
};
const lose = (lost) => {
  put(localStorage, NAME, read().filter((run) => run.id !== lost));
  put(sessionStorage, SHOWN, shown().filter((id) => id !== lost));
};
// An event of its own: `change` would also come whenever the server writes the value, and be answered for nothing.
const tell = (more = {}) => { props.value = { runs: read(), now: Date.now(), ...more }; trigger("submit"); };
// An order that the server has not confirmed yet; the line may break before it does.
window.fairgenDrawn = (token) => {
  const run = { id: token.slice(0, 16), key: token.slice(16) };
  keep(run);
  put(sessionStorage, DRAWN, [run]);
};
watch("value", () => {
  const { add, drop, forget, again } = props.value || {};
  if (again) return tell();
  if (!add && !drop && !forget) return;
  put(sessionStorage, DRAWN, []);
  if (add) keep(add);
  if (drop) lose(drop);
  if (forget) { put(localStorage, NAME, []); put(sessionStorage, SHOWN, []); }
  tell();
});
document.addEventListener("click", (event) => {
  const button = event.target.closest?.("[data-fg-act]");
  if (!button) return;
  const { fgAct: act, run } = button.dataset;
  if (act === "delete" && !confirm("Delete this set and its pictures from the server?")) return;
  if (act === "show") put(sessionStorage, SHOWN, [run, ...shown().filter((id) => id !== run)]);
  tell({ [act]: run });
  if (act === "delete") lose(run);
});
tell({ follow: shown(), drawn: list(sessionStorage, DRAWN, (run) => run && run.id)[0] || null });
put(sessionStorage, DRAWN, []);
