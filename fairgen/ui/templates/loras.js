// The chosen LoRAs, each with its weight; the value is a list of {file, weight}.
const rows = element.querySelector("[data-rows]"), typed = element.querySelector("input[list]");
const list = element.querySelector("datalist"), add = element.querySelector(".fg-loras-add button");
let chosen = [...(props.value || [])];
list.id = `fg-loras-${Math.random().toString(36).slice(2)}`;
typed.setAttribute("list", list.id);
const known = () => JSON.parse(props.known || "[]");
const offer = () => {
  list.replaceChildren(...known().map((name) => Object.assign(document.createElement("option"), { value: name })));
  typed.placeholder = known().length ? "Choose or search" : "File on this machine";
};
const tell = () => { props.value = chosen.map((one) => ({ ...one })); };
const build = () => {
  rows.replaceChildren(...chosen.map((one, place) => {
    const row = document.createElement("div"), name = document.createElement("span");
    row.className = "fg-loras-row";
    name.textContent = one.file.split(/[\\/]/).pop();
    name.title = one.file;
    const weight = Object.assign(document.createElement("input"), { type: "number", min: -2, max: 2, step: 0.05, value: one.weight });
    weight.setAttribute("aria-label", `Weight of ${name.textContent}`);
    weight.addEventListener("change", () => {
      const given = Number(weight.value);
      one.weight = Number.isFinite(given) && weight.value.trim() ? Math.max(-10, Math.min(10, given)) : 1;
      weight.value = one.weight;
      tell();
    });
    const away = Object.assign(document.createElement("button"), { type: "button", textContent: "Remove" });
    away.setAttribute("aria-label", `Remove ${name.textContent}`);
    away.addEventListener("click", () => { chosen.splice(place, 1); build(); tell(); typed.focus(); });
    row.append(name, weight, away);
    return row;
  }));
};
const take = () => {
  const file = typed.value.trim();
  if (!file || chosen.some((one) => one.file === file)) return;
  chosen.push({ file, weight: 1 });
  typed.value = "";
  build();
  tell();
};
add.addEventListener("click", take);
typed.addEventListener("keydown", (event) => { if (event.key === "Enter") { event.preventDefault(); take(); } });
watch("known", offer);
watch("value", () => {
  if (JSON.stringify(props.value || []) === JSON.stringify(chosen)) return;
  chosen = (props.value || []).map((one) => ({ ...one }));
  build();
});
offer();
build();
