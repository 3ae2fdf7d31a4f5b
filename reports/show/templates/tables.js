// Sorting, filtering and paging of the tables. Without it the page still shows them.
"use strict";
for (const box of document.querySelectorAll("div.table")) {
  const body = box.querySelector("tbody");
  const heads = [...box.querySelectorAll("thead th")];
  const numeric = heads.map((head) => head.classList.contains("number"));
  const tools = box.querySelector(".tools");
  const input = box.querySelector("input");
  const count = box.querySelector("output");
  const data = box.querySelector("script");
  const size = data ? 50 : Infinity;
  let page = 0;
  let sorted = { column: -1, descending: false };

  // A row: the words of its cells, what they sort by, and its element, made when it is first shown.
  const rows = data
    ? JSON.parse(data.textContent).map((cells) => ({
        words: cells.map((cell) => (Array.isArray(cell) ? cell[0] : cell)),
        keys: cells.map((cell) => (Array.isArray(cell) ? cell[1] : cell)),
        element: null,
      }))
    : [...body.rows].map((element) => ({
        words: [...element.cells].map((cell) => cell.textContent),
        keys: [...element.cells].map((cell) => keyOf(cell)),
        element,
      }));
  rows.forEach((row, index) => {
    row.index = index;
    row.text = row.words.join(" ").toLowerCase();
  });

  function keyOf(cell) {
    const key = cell.dataset.key ?? cell.textContent;
    return key !== "" && !Number.isNaN(Number(key)) ? Number(key) : key;
  }

  function elementOf(row) {
    if (!row.element) {
      row.element = document.createElement("tr");
      row.words.forEach((words, index) => {
        const cell = document.createElement(index ? "td" : "th");
        if (!index) cell.scope = "row";
        cell.className = numeric[index] ? "number" : words.length <= 40 && /\d/.test(words) ? "whole" : "";
        cell.textContent = words;
        row.element.append(cell);
      });
    }
    return row.element;
  }

  // Numbers before words, and cells without a value last in either direction.
  function compare(a, b) {
    const x = a.keys[sorted.column];
    const y = b.keys[sorted.column];
    if (x === "" || y === "") return (x === "") - (y === "") || a.index - b.index;
    const sign = sorted.descending ? -1 : 1;
    if (typeof x === "number" && typeof y === "number") return sign * (x - y) || a.index - b.index;
    if (typeof x !== typeof y) return typeof x === "number" ? -1 : 1;
    return sign * x.localeCompare(y, "en", { numeric: true }) || a.index - b.index;
  }

  function show() {
    const wanted = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    const found = rows.filter((row) => wanted.every((word) => row.text.includes(word)));
    if (sorted.column >= 0) found.sort(compare);
    const pages = Math.max(1, Math.ceil(found.length / size));
    page = Math.min(Math.max(page, 0), pages - 1);
    const start = size === Infinity ? 0 : page * size;
    const seen = size === Infinity ? found : found.slice(start, start + size);
    body.replaceChildren(...seen.map(elementOf));
    const part = pages > 1 ? `, ${start + 1} to ${start + seen.length} shown` : "";
    count.textContent = `${found.length} of ${rows.length} rows${part}`;
    for (const button of tools.querySelectorAll("[data-step]"))
      button.disabled = button.dataset.step === "1" ? page >= pages - 1 : page === 0;
  }

  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    head.setAttribute("aria-sort", "none");
    button.addEventListener("click", () => {
      sorted = { column, descending: sorted.column === column && !sorted.descending };
      heads.forEach((other) => other.setAttribute("aria-sort", "none"));
      head.setAttribute("aria-sort", sorted.descending ? "descending" : "ascending");
      show();
    });
  });
  input.addEventListener("input", () => {
    page = 0;
    show();
  });
  tools.addEventListener("click", (event) => {
    if (!event.target.dataset.step) return;
    page += Number(event.target.dataset.step);
    show();
  });
  tools.hidden = !("tools" in box.dataset);
  show();
}
