"use strict";
(() => {
  // light, dark, or as the system has it; a page opened from a file may have no storage
  const root = document.documentElement;
  const buttons = [...document.querySelectorAll(".switch button")];
  const choose = (theme) => {
    if (theme === "auto") root.removeAttribute("data-theme");
    else root.setAttribute("data-theme", theme);
    for (const button of buttons) button.setAttribute("aria-pressed", String(button.dataset.theme === theme));
  };
  let kept = "auto";
  try { kept = localStorage.getItem("goldilocks-theme") || "auto"; } catch { /* stays as the system has it */ }
  choose(["light", "dark"].includes(kept) ? kept : "auto");
  for (const button of buttons) {
    button.addEventListener("click", () => {
      choose(button.dataset.theme);
      try { localStorage.setItem("goldilocks-theme", button.dataset.theme); } catch { /* for this time alone */ }
    });
  }

  // tables: numbers in data-v, the largest first; texts in their own order; what is missing at the end
  for (const table of document.querySelectorAll("table.sortable")) {
    const heads = [...table.tHead.rows[0].cells];
    heads.forEach((head, place) => {
      head.querySelector("button")?.addEventListener("click", () => {
        const numeric = head.classList.contains("num");
        const before = head.getAttribute("aria-sort");
        const down = before ? before === "ascending" : numeric;
        const value = (row) => {
          const cell = row.cells[place];
          if (!numeric) return cell.textContent.trim();
          return cell.dataset.v === "" || cell.dataset.v === undefined ? NaN : Number(cell.dataset.v);
        };
        const compare = (a, b) => {
          const x = value(a), y = value(b);
          if (numeric && (isNaN(x) || isNaN(y))) return isNaN(x) - isNaN(y);
          const order = numeric ? x - y : x.localeCompare(y, "en", { numeric: true });
          return down ? -order : order;
        };
        const body = table.tBodies[0];
        body.append(...[...body.rows].sort(compare));
        for (const other of heads) other.removeAttribute("aria-sort");
        head.setAttribute("aria-sort", down ? "descending" : "ascending");
      });
    });
  }

  // on paper nothing is folded
  let folded = [];
  addEventListener("beforeprint", () => {
    folded = [...document.querySelectorAll("details:not([open], .screen)")];
    for (const details of folded) details.open = true;
  });
  addEventListener("afterprint", () => { for (const details of folded) details.open = false; });
})();
