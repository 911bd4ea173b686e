// Models × servers: a cell for each pair, or where these are too many, a sign for each and cells on demand.

import { SHAPES, byId, el, keyed, mark, name, redraw, set, svg, write } from "./dom.js";
import { HEALTH, Matrix, STATES, commonPolicy, keptWords, policyWords, shortDigest } from "./fleet.js";
import { NOTHING, count, wholeSpan } from "./format.js";
import { Table, textColumn } from "./table.js";

const MOST_COLUMNS = 8; // servers that have a column each
const IN_A_LINE = 50; // signs in a line
const STEP = 8;

export class ModelsSection {
  reads = ["models", "servers", "sync", "jobs"];

  constructor({ view, hands }) {
    this.hands = hands;
    this.matrix = new Matrix();
    this.filter = view.filter("models");
    this.table = new Table(byId("models-table"), "models", view, {
      key: (row) => row.model.name,
      attributes: (row) => ({ "data-model": row.model.name }),
    });
    byId("legend").append(...Object.values(STATES).map((sign) => el("li", mark(sign.shape, sign.tone), sign.word)),
      el("li", { "data-tone": "warn" }, "≠ digest differs from most"));
  }

  render({ models, servers, sync, jobs }) {
    this.layOut(servers);
    const passes = this.filter();
    const shown = this.matrix.update(models, servers, sync, jobs).filter((row) => passes(() => searched(row.model)));
    this.table.update(shown);
    const some = shown.length < models.length ? `, ${count(shown.length)} shown` : "";
    write(byId("models-count"), models.length ? `${count(models.length)} routed${some}` : "none yet");
  }

  layOut(servers) {
    const columns = [
      { id: "name", title: "Model", isHead: true, sort: (row) => row.model.name,
        draw: (cell, row) => this.drawName(cell, row) },
      textColumn("loaded", "Loaded", (row) => `${count(row.loaded)} of ${count(row.installed)}`,
        { isNumber: true, sort: (row) => row.loaded }),
      textColumn("kept", "Kept", (row) => keptWords(row.model) || NOTHING),
      textColumn("policy", "Policy", (row) => (commonPolicy(row.model) ?? "differs by server") || NOTHING),
      { id: "digest", title: "Digest", sort: (row) => -row.digests, draw: drawDigest },
    ];
    const fixed = columns.length;
    const isCompact = servers.length > MOST_COLUMNS;
    if (isCompact) columns.push({ id: "servers", title: "Servers", draw: (cell, row) => this.drawStrip(cell, row) });
    else columns.push(...servers.map((server, at) => this.serverColumn(server.id, at)));
    this.table.setColumns(columns);
    if (isCompact) return;
    servers.forEach((server, at) => {
      const { shape, tone } = HEALTH[server.health] ?? HEALTH.unknown;
      const head = this.table.headRow.children[fixed + at];
      set(head, "data-server", server.id);
      redraw(head, [server.id, server.health], () =>
        [el("span.state", { title: server.health }, mark(shape, tone), name(server.id))]);
    });
  }

  serverColumn(id, at) {
    return {
      id: `server-${at}`, title: id,
      draw: (cell, row) => {
        set(cell, "data-server", id);
        this.drawCell(cell, row, row.cells[at]);
      },
    };
  }

  drawName(cell, { model }) {
    redraw(cell, [model.name, model.aliases], () => [
      this.opener(name(model.name), model.name, "", `Load, pull, unload or delete ${model.name}`),
      model.aliases.length > 0 &&
        el("span.why", "also ", ...model.aliases.flatMap((alias, at) => [at ? ", " : "", name(alias)])),
    ]);
  }

  // Opens the dialog with a model filled in.
  opener(content, model, server, label) {
    const button = el("button.open", { "data-hand": "open", "aria-label": label }, content);
    button.onclick = () => this.hands.open(model, server);
    return button;
  }

  drawCell(node, { model, usual }, cell) {
    set(node, "data-state", cell.state);
    const policy = model.policies[cell.id];
    const ping_s = model.pings[cell.id];
    const own = policy && commonPolicy(model) === null ? policyWords(policy) : "";
    const differs = cell.digest !== null && cell.digest !== usual;
    redraw(node, [cell, own, model, differs], () => {
      const { shape, tone, word } = STATES[cell.state] ?? STATES.unknown;
      const state = el("span.state", { "data-tone": tone }, mark(shape, tone), word);
      const facts = [
        model.preloaded_on.includes(cell.id) && "preload", ping_s && `ping ${wholeSpan(ping_s)}`,
        cell.isInstalled && !model.servers.includes(cell.id) && "not routed here", own,
      ].filter(Boolean);
      return [
        this.opener(state, model.name, cell.id, `${model.name} on ${cell.id}: ${word}`),
        el("span.facts",
          differs && el("code", { title: cell.digest, "data-tone": "warn" }, `≠ ${shortDigest(cell.digest)}`),
          ...facts.map((fact) => el("span", fact))),
      ];
    });
  }

  drawStrip(cell, row) {
    cell.row = row;
    if (!cell.firstChild) cell.append(this.strip(cell));
    const details = cell.firstChild;
    const [summary, list] = details.children;
    const signs = summary.firstChild;
    const paths = {};
    const totals = {};
    row.cells.forEach((one, at) => {
      const { shape, tone, word } = STATES[one.state] ?? STATES.unknown;
      const colour = one.digest !== null && one.digest !== row.usual ? "warn" : tone;
      const [x, y] = [at % IN_A_LINE, Math.floor(at / IN_A_LINE)].map((steps) => (steps + 0.5) * STEP);
      paths[colour] = `${paths[colour] ?? ""}M${x} ${y}${SHAPES[shape]}`;
      totals[word] = (totals[word] ?? 0) + 1;
    });
    set(signs, "width", Math.min(row.cells.length, IN_A_LINE) * STEP);
    set(signs, "height", Math.ceil(row.cells.length / IN_A_LINE) * STEP);
    const path = ([tone]) => svg("path", { "data-tone": tone });
    keyed(signs, Object.entries(paths), ([tone]) => tone, path, (one, [, d]) => set(one, "d", d));
    const words = Object.entries(totals).map(([word, number]) => `${word} on ${number}`).join(", ");
    set(signs, "aria-label", `${row.model.name}: ${words}`);
    const made = (one) => el("li", { "data-server": one.id }, name(one.id), el("div"));
    keyed(list, details.open ? row.cells : [], (one) => one.id, made, (item, one) => {
      set(item, "data-state", one.state);
      this.drawCell(item.lastChild, row, one);
    });
  }

  strip(cell) {
    const signs = svg("svg", { role: "img", class: "signs" });
    const details = el("details", el("summary", signs), el("ul.each", { "data-detail": true }));
    details.addEventListener("toggle", () => this.drawStrip(cell, cell.row));
    return details;
  }
}

function drawDigest(cell, { usual, digests }) {
  redraw(cell, [usual, digests], () => (usual === null ? [NOTHING] : [
    el("code", { title: usual }, shortDigest(usual)),
    digests > 1 && el("span.why", { "data-tone": "warn" }, `≠ ${digests} digests`),
  ]));
}

const searched = (model) => [model.name, ...model.aliases, keptWords(model), commonPolicy(model)].join(" ");
