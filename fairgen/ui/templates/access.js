
// What Gradio leaves out for keyboards and screen readers: arrows on the tabs, and whether a fold is open.
(() => {
  const KEYS = { ArrowRight: 1, ArrowLeft: -1, Home: "first", End: "last" };
  document.addEventListener("keydown", (event) => {
    const tab = event.target.closest?.("[role=tab]"), way = KEYS[event.key];
    if (!tab || way === undefined) return;
    const tabs = [...tab.closest("[role=tablist]").querySelectorAll("[role=tab]")].filter((one) => one.offsetParent);
    const at = tabs.indexOf(tab);
    const next = way === "first" ? tabs[0] : way === "last" ? tabs.at(-1) : tabs[(at + way + tabs.length) % tabs.length];
    event.preventDefault();
    next.focus();
    next.click();
  });
  const tell = () => {
    for (const fold of document.querySelectorAll("button.label-wrap")) {
      const open = String(fold.classList.contains("open"));
      if (fold.getAttribute("aria-expanded") !== open) fold.setAttribute("aria-expanded", open);
    }
  };
  new MutationObserver(tell).observe(document.body, { subtree: true, childList: true, attributes: true, attributeFilter: ["class"] });
  tell();
})();
