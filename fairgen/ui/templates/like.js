// "More like this" beneath an opened picture: tells which one, with id and key of the new run, which the browser keeps before the order leaves.
document.addEventListener("click", (event) => {
  const button = event.target.closest?.("[data-fg-like]");
  if (!button) return;
  const token = btoa(String.fromCharCode(...crypto.getRandomValues(new Uint8Array(36)))).replaceAll("+", "-").replaceAll("/", "_");
  window.fairgenDrawn?.(token);
  props.value = { run: button.dataset.run, index: Number(button.dataset.fgLike), token };
  document.querySelector(".fg-results")?.scrollIntoView({ behavior: matchMedia("(prefers-reduced-motion: reduce)").matches ? "auto" : "smooth" });
});
