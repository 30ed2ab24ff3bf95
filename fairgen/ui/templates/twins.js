// The slider between two twins; where it stands is kept when the list is drawn anew.
const stands = new Map();
const put = (range) => {
  range.closest(".fg-compare").style.setProperty("--at", `${range.value}%`);
  range.setAttribute("aria-valuetext", `${range.value} percent by itself, the rest steered`);
};
element.addEventListener("input", (event) => {
  if (!event.target.matches(".fg-compare input")) return;
  stands.set(event.target.closest(".fg-twin").dataset.seed, event.target.value);
  put(event.target);
});
const again = () => {
  for (const range of element.querySelectorAll(".fg-compare input")) {
    const kept = stands.get(range.closest(".fg-twin").dataset.seed);
    if (kept !== undefined && kept !== range.value) range.value = kept;
    put(range);
  }
};
new MutationObserver(again).observe(element, { childList: true, subtree: true });
again();
