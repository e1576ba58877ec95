"use strict";
// Tables can be sorted by their headers: up, down, and back. Without this script they
// are in the order of networks.
for (const table of document.querySelectorAll("table.data")) {
  const body = table.tBodies[0];
  const original = [...body.rows];
  const headers = [...table.tHead.rows[0].cells];
  const value = (row, column) => {
    const text = row.cells[column].textContent.trim();
    const number = parseFloat(text.replace(/,/g, ""));
    return [text, number];
  };
  const compare = (column, numeric) => (a, b) => {
    const [textA, numberA] = value(a, column);
    const [textB, numberB] = value(b, column);
    return numeric ? numberA - numberB : textA.localeCompare(textB, "en", { numeric: true });
  };
  headers.forEach((header, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...header.childNodes);
    header.append(button);
    header.setAttribute("aria-sort", "none");
    const numeric = header.classList.contains("number");
    button.addEventListener("click", () => {
      const next = { none: "ascending", ascending: "descending", descending: "none" };
      const order = next[header.getAttribute("aria-sort")];
      for (const other of headers) other.setAttribute("aria-sort", "none");
      header.setAttribute("aria-sort", order);
      if (order === "none") {
        body.append(...original);
        return;
      }
      // Values that are not numbers ("n/a") come last, up or down.
      const direction = order === "ascending" ? 1 : -1;
      const by = compare(column, numeric);
      const known = (row) => !numeric || !isNaN(value(row, column)[1]);
      const rows = original.filter(known).sort((a, b) => direction * by(a, b));
      body.append(...rows, ...original.filter((row) => !known(row)));
    });
  });
}
