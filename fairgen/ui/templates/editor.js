// Shares are whole thousandths, so that they sum to exactly 1000 whatever is moved.
const TOTAL = 1000;
const icon = (arc) => `<svg viewBox="0 0 16 16" fill="none" stroke="currentColor" stroke-width="1.6" aria-hidden="true">` +
  `<rect x="3" y="7" width="10" height="7" rx="1.5" fill="currentColor"/><path d="${arc}"/></svg>`;
const SHUT = icon("M5 7V5a3 3 0 0 1 6 0v2"), OPEN = icon("M5 7V4.5a3 3 0 0 1 5.8-1");
const scales = JSON.parse(props.scales);
const select = element.querySelector("select");
const rows = element.querySelector("[data-rows]");
let scale = props.value.scale;
let parts = { ...props.value.parts };
let locked = new Set();

// Hands out `total` whole units in proportion to `weights`; the largest remainders get what is over.
const share = (total, weights) => {
  const sum = weights.reduce((a, b) => a + b, 0);
  const exact = weights.map((w) => (sum ? (total * w) / sum : total / weights.length));
  const whole = exact.map(Math.floor);
  const order = exact.map((x, i) => [x - whole[i], i]).sort((a, b) => b[0] - a[0] || a[1] - b[1]);
  let over = total - whole.reduce((a, b) => a + b, 0);
  for (const [, i] of order) { if (over-- <= 0) break; whole[i] += 1; }
  return whole;
};
const text = (n) => (n / 10).toFixed(1) + "\u00a0%";
const tell = () => { props.value = { scale, parts: { ...parts } }; };
const draw = () => {
  for (const row of rows.children) {
    const key = row.dataset.class, range = row.querySelector("input"), lock = row.querySelector("button");
    range.value = parts[key];
    range.disabled = locked.has(key);
    range.setAttribute("aria-valuetext", text(parts[key]));
    row.querySelector("output").textContent = text(parts[key]);
    lock.setAttribute("aria-pressed", String(locked.has(key)));
    lock.innerHTML = locked.has(key) ? SHUT : OPEN;
  }
};
const move = (key, wanted) => {
  const others = Object.keys(parts).filter((k) => k !== key && !locked.has(k));
  const held = Object.keys(parts).filter((k) => k !== key && locked.has(k)).reduce((a, k) => a + parts[k], 0);
  const value = others.length ? Math.max(0, Math.min(wanted, TOTAL - held)) : TOTAL - held;
  parts[key] = value;
  const rest = share(TOTAL - held - value, others.map((k) => parts[k]));
  others.forEach((k, i) => { parts[k] = rest[i]; });
  draw();
};
const build = () => {
  rows.replaceChildren(...scales[scale].classes.map((c) => {
    const row = document.createElement("div");
    row.className = "fg-edit-row";
    row.dataset.class = c.key;
    const swatch = document.createElement("span");
    swatch.className = "fg-swatch";
    swatch.style.background = c.swatch;
    const name = document.createElement("span");
    name.textContent = c.label;
    const range = document.createElement("input");
    Object.assign(range, { type: "range", min: 0, max: TOTAL, step: 5 });
    range.setAttribute("aria-label", `Share of ${c.label} skin tones`);
    range.addEventListener("input", () => move(c.key, Number(range.value)));
    range.addEventListener("change", tell);
    const output = document.createElement("output");
    const lock = document.createElement("button");
    lock.type = "button";
    lock.setAttribute("aria-label", `Hold the share of ${c.label}`);
    lock.title = "Hold this share while others move";
    lock.addEventListener("click", () => { locked.has(c.key) ? locked.delete(c.key) : locked.add(c.key); draw(); });
    row.append(swatch, name, range, output, lock);
    return row;
  }));
  draw();
};
const even = () => {
  const keys = scales[scale].classes.map((c) => c.key);
  const equal = share(TOTAL, keys.map(() => 1));
  locked = new Set();
  parts = Object.fromEntries(keys.map((k, i) => [k, equal[i]]));
};
select.value = scale;
select.addEventListener("change", () => { scale = select.value; even(); build(); tell(); });
element.querySelector("[data-even]").addEventListener("click", () => { even(); build(); tell(); });
watch("value", () => {
  if (JSON.stringify(props.value) === JSON.stringify({ scale, parts })) return;
  scale = props.value.scale; parts = { ...props.value.parts }; locked = new Set(); select.value = scale; build();
});
build();
