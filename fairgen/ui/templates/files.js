// Chosen files, each with what is said of it: LoRAs with their weight, the value being a list of {file, weight},
// or textual inversions with the word that stands for them, {file, token}.
const given = element.querySelector("fieldset").dataset, words = given.holds === "words";
const known = JSON.parse(decodeURIComponent(given.known));
const rows = element.querySelector("[data-rows]"), typed = element.querySelector(".fg-files-add input");
const list = element.querySelector("datalist"), add = element.querySelector(".fg-files-add button");
let chosen = [...(props.value || [])];
element.querySelector("legend").textContent = words
  ? "Textual inversions: files that teach the model a word for your prompt"
  : "LoRAs: small files that change the style";
typed.setAttribute("aria-label", words ? "Textual inversion to add" : "LoRA to add");
list.id = `fg-files-${Math.random().toString(36).slice(2)}`;
typed.setAttribute("list", list.id);
list.replaceChildren(...known.map((name) => Object.assign(document.createElement("option"), { value: name })));
typed.placeholder = known.length ? "Choose or search" : "File on this machine";
const tell = () => { props.value = chosen.map((one) => ({ ...one })); };
const build = () => {
  rows.replaceChildren(...chosen.map((one, place) => {
    const row = document.createElement("div"), name = document.createElement("span");
    row.className = words ? "fg-files-row fg-files-words" : "fg-files-row";
    name.textContent = one.file.split(/[\\/]/).pop();
    name.title = one.file;
    const said = document.createElement("input");
    if (words) Object.assign(said, { type: "text", maxLength: 100, value: one.token || "", placeholder: "its own word" });
    else Object.assign(said, { type: "number", min: -2, max: 2, step: 0.05, value: one.weight });
    said.setAttribute("aria-label", `${words ? "Word for" : "Weight of"} ${name.textContent}`);
    said.addEventListener("change", () => {
      const given = Number(said.value);
      if (words) one.token = said.value.trim() || null;
      else one.weight = Number.isFinite(given) && said.value.trim() ? Math.max(-10, Math.min(10, given)) : 1;
      said.value = words ? one.token || "" : one.weight;
      tell();
    });
    const away = Object.assign(document.createElement("button"), { type: "button", textContent: "Remove" });
    away.setAttribute("aria-label", `Remove ${name.textContent}`);
    away.addEventListener("click", () => { chosen.splice(place, 1); build(); tell(); typed.focus(); });
    row.append(name, said, away);
    return row;
  }));
};
const take = () => {
  const file = typed.value.trim();
  if (!file || chosen.some((one) => one.file === file)) return;
  chosen.push(words ? { file, token: null } : { file, weight: 1 });
  typed.value = "";
  build();
  tell();
};
add.addEventListener("click", take);
typed.addEventListener("keydown", (event) => { if (event.key === "Enter") { event.preventDefault(); take(); } });
watch("value", () => {
  if (JSON.stringify(props.value || []) === JSON.stringify(chosen)) return;
  chosen = (props.value || []).map((one) => ({ ...one }));
  build();
});
build();
