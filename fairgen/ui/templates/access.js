
// What Gradio leaves out: arrows on the tabs and whether a fold is open, for keyboards and screen readers; clicks on a
// button that moves while it is pressed.
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
  // Leaving a field may show a refusal above the button that is being pressed. The browser then takes press and
  // release for no click of the button, and gives it to what holds both.
  let pressed = null;
  document.addEventListener("pointerdown", (event) => {
    const button = event.isPrimary && event.button === 0 ? event.target.closest?.("button") : null;
    pressed = button && { button, x: event.clientX, y: event.clientY };
  }, true);
  document.addEventListener("click", (event) => {
    const was = pressed;
    pressed = null;
    if (!was || !event.isTrusted || was.button.contains(event.target) || !event.target.contains(was.button)) return;
    if (Math.hypot(event.clientX - was.x, event.clientY - was.y) > 4) return;  // it was dragged off
    event.stopPropagation();
    was.button.click();
  }, true);
  const tell = () => {
    for (const fold of document.querySelectorAll("button.label-wrap")) {
      const open = String(fold.classList.contains("open"));
      if (fold.getAttribute("aria-expanded") !== open) fold.setAttribute("aria-expanded", open);
    }
  };
  new MutationObserver(tell).observe(document.body, { subtree: true, childList: true, attributes: true, attributeFilter: ["class"] });
  tell();
})();
