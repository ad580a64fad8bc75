"use strict";
document.documentElement.classList.add("js");

// Tables: a click on a heading sorts by what the cells say they are sorted by, else by their text.
for (const table of document.querySelectorAll("table.sortable")) {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, at) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const down = head.getAttribute("aria-sort") === "ascending";
      for (const other of heads) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const key = (row) => row.cells[at]?.dataset.v ?? row.cells[at]?.textContent ?? "";
      const rows = [...table.tBodies[0].rows];
      const isNumber = rows.every((row) => key(row) === "" || !Number.isNaN(Number(key(row))));
      rows.sort((a, b) => {
        const [x, y] = [key(a), key(b)];
        if (x === "" || y === "") return (x === "") - (y === ""); // what has no value stays at the end
        const order = isNumber ? Number(x) - Number(y) : x.localeCompare(y, "en", { numeric: true });
        return down ? -order : order;
      });
      table.tBodies[0].append(...rows);
    });
  });
}

// Rows: filtered by words, by what they have in common and by how they moved in a metric; ordered by that.
const list = document.getElementById("samples");
if (list) {
  const PAGE = 20;
  const get = (name) => document.getElementById(name);
  const rows = [...list.querySelectorAll("details.sample")].map((element, place) => ({
    element,
    place,
    gains: JSON.parse(element.dataset.gains),
    facets: JSON.parse(element.dataset.facets),
    chip: element.querySelector(".change"),
    text: null,
  }));
  const text = (row) => (row.text ??= row.element.textContent.toLowerCase());
  let most = PAGE;

  function kind(gain) {
    return gain === null ? "none" : gain > 0 ? "better" : gain < 0 ? "worse" : "same";
  }

  function said(gain) {
    if (gain === null) return "no value";
    if (gain === 0) return "same";
    const size = Math.abs(gain);
    const figures = size < 0.001 || size >= 1e6 ? size.toPrecision(3) : size < 10 ? size.toFixed(3) : size.toPrecision(4);
    return `${kind(gain)} by ${figures}`;
  }

  function show() {
    const at = get("by-metric")?.selectedIndex ?? -1;
    const [moved, facet, order] = ["by-change", "by-facet", "by-order"].map((name) => get(name)?.value ?? "");
    const words = get("by-text").value.toLowerCase().split(/\s+/).filter(Boolean);
    const gain = (row) => (at < 0 ? null : row.gains[at] ?? null);
    const wanted = rows.filter(
      (row) =>
        (!moved || kind(gain(row)) === moved) &&
        (!facet || row.facets.includes(facet)) &&
        words.every((word) => text(row).includes(word)),
    );
    wanted.sort((a, b) => {
      const [x, y] = [gain(a), gain(b)];
      if (x === null || y === null) return (x === null) - (y === null) || a.place - b.place;
      return (order === "worse" ? x - y : y - x) || a.place - b.place;
    });
    const visible = new Set(wanted.slice(0, most));
    for (const row of rows) {
      row.element.hidden = !visible.has(row);
      row.chip.textContent = at < 0 ? "" : said(gain(row));
      row.chip.className = `change ${kind(gain(row))}`;
    }
    list.append(...wanted.map((row) => row.element));
    get("rows-shown").textContent = `${visible.size} of ${wanted.length} rows that match`;
    get("more-rows").hidden = wanted.length <= most;
  }

  for (const control of document.querySelectorAll("#row-controls select, #row-controls input")) {
    control.addEventListener("input", () => {
      most = PAGE;
      show();
    });
  }
  get("more-rows").addEventListener("click", () => {
    most += 2 * PAGE;
    show();
  });
  show();
}

// On paper nobody unfolds: all that a fold holds is printed, but for folds within others and rows that are not shown.
const unfolded = [];
window.addEventListener("beforeprint", () => {
  for (const fold of document.querySelectorAll("details:not([open], [hidden])"))
    if (!fold.parentElement.closest("details")) unfolded.push(fold);
  for (const fold of unfolded) fold.open = true;
});
window.addEventListener("afterprint", () => {
  for (const fold of unfolded.splice(0)) fold.open = false;
});
