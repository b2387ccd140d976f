"use strict";

// Tables that can be sorted by each column, and copied into a spreadsheet.

// columns  [{name, digits, says, value: row => number or text, interval: row => [low, high]}]; text has no `digits`
// choose   called with a row that is clicked
function showTable(place, rows, columns, { choose, isChosen } = {}) {
  const order = { column: null, descending: true };
  const heads = columns.map((column) => {
    const button = element("button", { type: "button", class: "sort", title: column.says ?? null }, column.name);
    const head = element("th", { scope: "col", class: column.digits === undefined ? "" : "number" }, button);
    button.addEventListener("click", () => {
      order.descending = order.column === column ? !order.descending : column.digits !== undefined;
      order.column = column;
      sort();
    });
    return head;
  });
  const lines = rows.map((row) => {
    const cells = columns.map((column, i) => cell(row, column, i));
    const line = element("tr", { class: choose ? "choosable" : null }, ...cells);
    if (choose) line.addEventListener("click", () => choose(row));
    return { row, line };
  });
  const body = element("tbody");
  const copy = element("button", { type: "button", class: "copy" }, "Copy the table");
  copy.addEventListener("click", async () => {
    const inOrder = Array.from(body.rows, (line) => lines.find((one) => one.line === line).row);
    copy.textContent = (await copied(tabSeparated(inOrder, columns))) ? "Copied" : "The browser does not allow it";
    setTimeout(() => (copy.textContent = "Copy the table"), 2000);
  });
  const table = element("table", {}, element("thead", {}, element("tr", {}, ...heads)), body);
  place.append(element("div", { class: "scrolls" }, table), copy);
  function sort() {
    const { column, descending } = order;
    const sorted = lines.slice();
    if (column) sorted.sort((one, other) => compare(column, one.row, other.row, descending));
    heads.forEach((head, i) => {
      if (columns[i] === column) head.setAttribute("aria-sort", descending ? "descending" : "ascending");
      else head.removeAttribute("aria-sort");
    });
    body.append(...sorted.map(({ line }) => line));
  }
  sort();
  return () => lines.forEach(({ row, line }) => line.classList.toggle("chosen", Boolean(isChosen?.(row))));
}

function cell(row, column, i) {
  const { digits } = column;
  if (i === 0) return element("th", { scope: "row" }, column.value(row));
  if (digits === undefined) return element("td", {}, column.value(row));
  const [low, high] = column.interval?.(row) ?? [];
  const isKnown = low < high; // an exact number has none
  const between = isKnown ? element("small", {}, `${number(low, digits)} to ${number(high, digits)}`) : "";
  return element("td", { class: "number" }, number(column.value(row), digits), between);
}

// What was not measured stands last.
function compare(column, one, other, descending) {
  const [first, second] = [column.value(one), column.value(other)];
  const direction = descending ? -1 : 1;
  if (column.digits === undefined) return first.localeCompare(second, "en", { numeric: true }) * direction;
  const isMissing = [first, second].map((value) => !Number.isFinite(value));
  if (isMissing[0] || isMissing[1]) return isMissing[0] - isMissing[1];
  return (first - second) * direction;
}

// Numbers as they are, with intervals in columns of their own.
function tabSeparated(rows, columns) {
  const all = columns.flatMap((column) => {
    if (!column.interval) return [column];
    const bound = (name, i) => ({ name: `${column.name}, ${name}`, value: (row) => column.interval(row)?.[i] });
    return [column, bound("low", 0), bound("high", 1)];
  });
  const text = (value) => (value === null || value === undefined ? "" : String(value).replace(/[\t\r\n]/g, " "));
  return [all.map(({ name }) => name), ...rows.map((row) => all.map(({ value }) => text(value(row))))]
    .map((line) => line.join("\t"))
    .join("\n");
}

// Whether the browser let the text be copied: a file that was opened by double click may not use the newer way.
async function copied(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const area = element("textarea", { class: "sr-only" });
    area.value = text;
    document.body.append(area);
    area.select();
    const isDone = document.execCommand("copy");
    area.remove();
    return isDone;
  }
}
