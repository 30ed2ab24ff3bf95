// The keys of this browser's runs, newest first; every tab of it sees the same ones.
const NAME = "fairgen-runs", MOST = 30;
const read = () => {
  try {
    const kept = JSON.parse(localStorage.getItem(NAME));
    return Array.isArray(kept) ? kept.filter((run) => run && run.id && run.key).slice(0, MOST) : [];
  } catch { return []; }  // nothing is kept where the browser forbids it
};
const keep = (runs) => { try { localStorage.setItem(NAME, JSON.stringify(runs.slice(0, MOST))); } catch { } };
const tell = () => { props.value = { runs: read() }; };
watch("value", () => {
  const { add, forget } = props.value || {};
  if (!add && !forget) return;
  keep(forget ? [] : [add, ...read().filter((run) => run.id !== add.id)]);
  tell();
});
tell();
