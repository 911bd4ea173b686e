// Elements and lists of them. All that is shown goes in as text nodes and attributes; nothing is parsed as HTML.
// An update touches only what differs, so that focus, selection and scrolling stay where they are.

const SVG = "http://www.w3.org/2000/svg";

export const byId = (id) => document.getElementById(id);

// An element, as "tag" or "tag.class", with attributes if there are any and children; null and false are left out.
export function el(kind, ...rest) {
  const [tag, style] = kind.split(".");
  const node = document.createElement(tag);
  if (style) node.className = style;
  return filled(node, isAttributes(rest[0]) ? rest.shift() : {}, rest);
}

export function svg(tag, attributes = {}, ...children) {
  return filled(document.createElementNS(SVG, tag), attributes, children);
}

function filled(node, attributes, children) {
  for (const name in attributes) set(node, name, attributes[name]);
  node.append(...children.filter(Boolean));
  return node;
}

const isAttributes = (one) => one && typeof one === "object" && !(one instanceof Node);

export function set(node, name, value) {
  if (value == null || value === false) {
    if (node.hasAttribute(name)) node.removeAttribute(name);
  } else {
    const text = value === true ? "" : String(value);
    if (node.getAttribute(name) !== text) node.setAttribute(name, text);
  }
}

export function write(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

export function show(node, isShown) {
  if (node.hidden === isShown) node.hidden = !isShown;
}

// A name that somebody else has chosen: its direction moves nothing beside it.
export function name(text, attributes = {}) {
  return el("bdi.name", { title: text, ...attributes }, text);
}

// Small signs around a point in a square of 6: shapes say what colours say.
export const SHAPES = {
  full: "m-3-3h6v6h-6z", half: "m-3-3v6h6v-6zm1 1h4v2h-4z", open: "m-3-3v6h6v-6zm1 1h4v4h-4z", triangle: "m0-3l3 6h-6z",
  cross: "m-3-2l1-1 2 2 2-2 1 1-2 2 2 2-1 1-2-2-2 2-1-1 2-2z", bar: "m-3-.6h6v1.2h-6z", dot: "m-.7-.7h1.4v1.4h-1.4z",
};

export function mark(shape, tone) {
  const path = svg("path", { d: `M0 0${SHAPES[shape]}` });
  return svg("svg", { class: "mark", viewBox: "-3 -3 6 6", "data-tone": tone, "aria-hidden": "true" }, path);
}

// Fills a node anew only where what it is made of has changed.
export function redraw(node, of, draw) {
  const sign = JSON.stringify(of);
  if (node.drawnOf === sign) return;
  node.drawnOf = sign;
  node.replaceChildren(...draw().filter(Boolean));
}

const lists = new WeakMap();

// Makes the children of a parent those of a list: each is made once for its key, then updated.
export function keyed(parent, items, keyOf, make, update) {
  const before = lists.get(parent) ?? new Map();
  const after = new Map();
  for (const item of items) {
    let key = keyOf(item);
    while (after.has(key)) key += "\u0000"; // names may repeat
    const node = before.get(key) ?? make(item);
    after.set(key, node);
  }
  lists.set(parent, after);
  const focused = parent.contains(document.activeElement) ? document.activeElement : null;
  const place = focused === null ? -1 : [...parent.children].findIndex((child) => child.contains(focused));
  for (const [key, node] of before) if (after.get(key) !== node) node.remove();
  let next = parent.firstChild;
  for (const node of after.values()) {
    if (node === next) next = node.nextSibling;
    else if (node.isConnected && parent.moveBefore) parent.moveBefore(node, next);
    else parent.insertBefore(node, next);
  }
  let at = 0;
  const nodes = [...after.values()];
  for (const item of items) update(nodes[at++], item);
  if (focused !== null && document.activeElement !== focused) refocus(parent, focused, place);
}

// Gives the focus back to what was moved, else to what took the place of what is gone, else to the section.
function refocus(parent, focused, place) {
  const successor = parent.children[Math.min(place, parent.children.length - 1)];
  const target = focused.isConnected
    ? focused
    : (successor?.querySelector("button, a, input") ?? parent.closest("section")?.querySelector("h2"));
  target?.focus({ preventScroll: true });
}
