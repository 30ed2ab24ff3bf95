// Gradio writes a place in its queue as "queue: 2/3 | 1.4/2.9s", where nobody sees it: said in words, by the style sheet.
const say = (node) => {
  const found = /queue:\s*(\d+)\/(\d+)/.exec(node.textContent);
  const words = found ? `Place ${found[1]} of ${found[2]} in the queue` : "";
  if ((node.dataset.place || "") === words) return;
  if (words) node.dataset.place = words; else delete node.dataset.place;
};
const look = () => document.querySelectorAll("[data-testid=status-tracker] .progress-text").forEach(say);
new MutationObserver(look).observe(document.body, { subtree: true, childList: true, characterData: true });
