(() => {
  "use strict";
  const list = document.getElementById("prompts");
  const all = [...list.querySelectorAll(":scope > [data-rank]")];
  const find = document.getElementById("find");
  const group = document.getElementById("group");
  const sort = document.getElementById("sort");
  const open = document.getElementById("open");
  const found = document.getElementById("found");
  const tv = (item) => Number(item.dataset.tv.trim().split(" ")[Number(sort.value)]);
  const orders = {
    rank: (a, b) => a.dataset.rank - b.dataset.rank,
    name: (a, b) => a.dataset.name.localeCompare(b.dataset.name),
  };
  const update = () => {
    const text = find.value.trim().toLowerCase();
    let count = 0;
    for (const item of all) {
      item.hidden = !item.dataset.name.includes(text) || (group && group.value && item.dataset.group !== group.value);
      count += item.hidden ? 0 : 1;
    }
    found.value = count === all.length ? "" : `${count} of ${all.length} prompts`;
    list.append(...[...all].sort(orders[sort.value] || ((a, b) => tv(b) - tv(a) || orders.rank(a, b))));
  };
  find.addEventListener("input", update);
  sort.addEventListener("change", update);
  if (group) group.addEventListener("change", update);
  if (open) open.addEventListener("click", () => {
    const opened = open.textContent === "Open all";
    for (const item of all) item.open = opened;
    open.textContent = opened ? "Close all" : "Open all";
  });
  addEventListener("beforeprint", () => {
    for (const item of all) item.open = true;
  });
  document.querySelector(".tools").hidden = false;
})();
