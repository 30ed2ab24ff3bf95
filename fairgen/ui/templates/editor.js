// Shares are whole thousandths, so that they sum to exactly 1000 whatever is moved.
const TOTAL = 1000;
const icon = (arc) => `<svg viewBox="0 0 16 16" fill="none" stroke="currentColor" stroke-width="1.6" aria-hidden="true">` +
  `<rect x="3" y="7" width="10" height="7" rx="1.5" fill="currentColor"/><path d="${arc}"/></svg>`;
const SHUT = icon("M5 7V5a3 3 0 0 1 6 0v2"), OPEN = icon("M5 7V4.5a3 3 0 0 1 5.8-1");
const scales = JSON.parse(props.scales);
const select = element.querySelector("select"), preset = element.querySelector("[data-preset]");
const strip = element.querySelector("[data-strip]");
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
    const key = row.dataset.class, range = row.querySelector("input[type=range]"), lock = row.querySelector("button");
    const typed = row.querySelector("input[type=number]");
    range.value = parts[key];
    range.disabled = locked.has(key);
    range.setAttribute("aria-valuetext", text(parts[key]));
    if (document.activeElement !== typed) typed.value = (parts[key] / 10).toFixed(1);
    typed.disabled = locked.has(key);
    lock.setAttribute("aria-pressed", String(locked.has(key)));
    lock.innerHTML = locked.has(key) ? SHUT : OPEN;
  }
  strip.replaceChildren(...scales[scale].classes.map((c) => {
    const part = document.createElement("span");
    part.style.width = `${parts[c.key] / 10}%`;
    part.style.background = c.swatch;
    return part;
  }));
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
    const typed = document.createElement("input"), cell = document.createElement("span");
    Object.assign(typed, { type: "number", min: 0, max: 100, step: 0.1 });
    typed.setAttribute("aria-label", `Share of ${c.label} skin tones, percent`);
    typed.addEventListener("change", () => {
      const given = Number(typed.value.replace(",", "."));
      if (typed.value.trim() && Number.isFinite(given)) move(c.key, Math.round(10 * given));
      typed.value = (parts[c.key] / 10).toFixed(1);
      tell();
    });
    cell.className = "fg-edit-typed";
    cell.append(typed, "%");
    const lock = document.createElement("button");
    lock.type = "button";
    lock.setAttribute("aria-label", `Hold the share of ${c.label}`);
    lock.title = "Hold this share while others move";
    lock.addEventListener("click", () => { locked.has(c.key) ? locked.delete(c.key) : locked.add(c.key); draw(); });
    row.append(swatch, name, range, cell, lock);
    return row;
  }));
  draw();
};
const weights = { even: () => 1, light: (i, n) => n - i, dark: (i) => i + 1, middle: (i, n) => 1 + Math.min(i, n - 1 - i) };
const begin = (name) => {
  const keys = scales[scale].classes.map((c) => c.key);
  const shares = share(TOTAL, keys.map((_, i) => weights[name](i, keys.length)));
  locked = new Set();
  parts = Object.fromEntries(keys.map((k, i) => [k, shares[i]]));
};
select.value = scale;
select.addEventListener("change", () => { scale = select.value; begin("even"); build(); tell(); });
preset.addEventListener("change", () => { if (preset.value) { begin(preset.value); build(); tell(); } preset.value = ""; });
watch("value", () => {
  if (JSON.stringify(props.value) === JSON.stringify({ scale, parts })) return;
  scale = props.value.scale; parts = { ...props.value.parts }; locked = new Set(); select.value = scale; build();
});
build();
