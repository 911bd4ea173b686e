// A table of keyed rows and sortable columns. Roles are spelled out: some browsers forget them where a narrow
// page lays rows out as cards.

import { el, keyed, set, write } from "./dom.js";
import { NOTHING } from "./format.js";

const compare = new Intl.Collator("en", { numeric: true, sensitivity: "base" }).compare;

export class Table {
  // Each column: id, title, draw(cell, item), and where they apply sort(item), isNumber, isHead, tick(cell, item).
  // `row` says of an item its key and the attributes of its row; `name` is the parameter of the URL.
  constructor(table, name, view, row) {
    this.name = name;
    this.view = view;
    this.row = row;
    this.headRow = el("tr", { role: "row" });
    this.body = el("tbody", { role: "rowgroup" });
    set(table, "role", "table");
    table.append(el("thead", { role: "rowgroup" }, this.headRow), this.body);
  }

  // Lays the columns out anew where others are wanted.
  setColumns(columns) {
    const titles = JSON.stringify(columns.map((column) => column.title));
    if (this.titles === titles) return;
    this.titles = titles;
    this.columns = columns;
    this.headRow.replaceChildren(...columns.map((column) => this.heading(column)));
    keyed(this.body, [], String, null, null);
  }

  heading(column) {
    const head = cell("th", "columnheader", "col", column);
    if (column.sort) {
      const button = el("button.sort", column.title);
      button.onclick = () => this.sortBy(column.id);
      head.append(button);
    } else head.append(column.title);
    return head;
  }

  // First press the one way, second the other way, third as configured.
  sortBy(id) {
    const column = this.columns.find((one) => one.id === id);
    const turns = column.isNumber ? [`-${id}`, id, ""] : [id, `-${id}`, ""];
    const at = turns.indexOf(this.view.get(this.name));
    this.view.set(this.name, turns[(at + 1) % turns.length]);
  }

  // Each list is sorted in itself, so that what stands on top stays there.
  update(...lists) {
    const items = lists.flatMap((list) => this.sorted(list));
    keyed(this.body, items, this.row.key, () => this.made(), (row, item) => this.fill(row, item));
  }

  sorted(items) {
    const wanted = this.view.get(this.name);
    const id = wanted.replace(/^-/, "");
    const column = this.columns.find((one) => one.id === id && one.sort);
    const direction = wanted.startsWith("-") ? -1 : 1;
    for (const head of this.headRow.children) {
      const isSorted = column !== undefined && head.dataset.column === id;
      set(head, "aria-sort", isSorted ? (direction < 0 ? "descending" : "ascending") : null);
    }
    if (column === undefined) return items;
    const pairs = items.map((item) => [column.sort(item), item]);
    return pairs.sort((one, two) => inOrder(one[0], two[0], direction)).map((pair) => pair[1]);
  }

  made() {
    return el("tr", { role: "row" }, ...this.columns.map((column) =>
      column.isHead ? cell("th", "rowheader", "row", column) : cell("td", "cell", null, column)));
  }

  fill(row, item) {
    const isSame = row.item === item || (row.item && this.row.isSame?.(row.item, item));
    row.item = item;
    if (isSame) return;
    const attributes = this.row.attributes(item);
    for (const name in attributes) set(row, name, attributes[name]);
    for (let at = 0; at < this.columns.length; at++) this.columns[at].draw(row.children[at], item);
  }

  // Draws what only time changes.
  tick() {
    for (const row of this.body.children) {
      this.columns.forEach((column, at) => column.tick?.(row.children[at], row.item));
    }
  }
}

function cell(tag, role, scope, { id, title, isNumber }) {
  return el(tag, { role, scope, "data-column": id, "data-title": title, class: isNumber && "number" });
}

// What has no value comes last, whichever way it is sorted.
function inOrder(one, two, direction) {
  const isOneNothing = one == null || one === NOTHING;
  const isTwoNothing = two == null || two === NOTHING;
  if (isOneNothing || isTwoNothing) return isOneNothing - isTwoNothing;
  return direction * (typeof one === "number" ? one - two : compare(one, two));
}

// A column whose cells are plain text, sorted by that unless there is something better.
export function textColumn(id, title, read, more = {}) {
  return { id, title, sort: read, draw: (cell, item) => drawText(cell, read(item)), ...more };
}

function drawText(cell, text) {
  write(cell, text);
  set(cell, "data-nothing", text === NOTHING && "");
}
