// Requests: those that are being answered, then the last hundred that ended.

import { byId, el, mark, name, redraw, set, write } from "./dom.js";
import { keyOf } from "./fleet.js";
import { NOTHING, asLine, clockTime, count, fullTime, rate, span, wholeSpan } from "./format.js";
import { Table, textColumn } from "./table.js";

const MOST_RUNNING = 200; // rows for what is being answered
const ENDS = {
  done: "done", refused: "refused", client_left: "client left", server_broke: "server broke off",
  timed_out: "timed out", shut_down: "shut down",
};
const BROKEN = new Set(["server_broke", "timed_out", "shut_down"]);

export class RequestsSection {
  reads = ["requests", "ended"];

  constructor({ store, view }) {
    this.store = store;
    this.filter = view.filter("requests");
    this.dialog = byId("line");
    this.table = new Table(byId("requests-table"), "requests", view, {
      key: (row) => row.id,
      attributes: (row) => ({ "data-request": row.id, "data-end": row.end }),
      isSame: (one, two) => one.of === two.of,
    });
    this.table.setColumns(this.columns());
    this.table.body.addEventListener("click", (event) => {
      const row = event.target.closest("tr");
      if (row && !(event.detail && String(getSelection()))) this.show(row.item.of);
    });
  }

  columns() {
    const numberColumn = (id, title, written) =>
      textColumn(id, title, ({ of }) => written(of[id]), { sort: ({ of }) => of[id], isNumber: true });
    return [
      { id: "time", title: "Time", isHead: true, sort: ({ of }) => of.time ?? of.begun_ms, draw: drawTime },
      textColumn("client", "Client", ({ of }) => of.client),
      { id: "model", title: "Model", sort: ({ of }) => of.model, draw: drawModel },
      { id: "server", title: "Server", sort: ({ of }) => of.server, draw: drawServer },
      numberColumn("wait_s", "Wait", span),
      numberColumn("load_s", "Load", span),
      numberColumn("first_byte_s", "First byte", span),
      { id: "total_s", title: "Total", isNumber: true, sort: (row) => this.total(row),
        draw: (cell, row) => this.drawTotal(cell, row),
        tick: (cell, row) => row.end === "running" && this.drawTotal(cell, row) },
      textColumn("tokens_out", "Tokens", ({ of }) => tokens(of), { sort: ({ of }) => of.tokens_out, isNumber: true }),
      numberColumn("tokens_per_s", "Tokens/s", rate),
      { id: "end", title: "End", sort: (row) => row.end, draw: drawEnd },
    ];
  }

  drawTotal(cell, row) {
    write(cell, row.end === "running" ? wholeSpan(this.total(row)) : span(row.of.total_s));
  }

  total(row) {
    return row.end === "running" ? this.store.age(row.of) : row.of.total_s;
  }

  render({ requests, ended }) {
    const passes = this.filter();
    const isShown = (row) => passes(() => searched(row));
    const running = requests.map(runningRow).filter(isShown);
    const past = ended.map(endedRow).reverse().filter(isShown);
    const shown = running.slice(0, MOST_RUNNING);
    const more = running.length > shown.length ? ` (the oldest ${count(shown.length)} shown)` : "";
    write(byId("requests-count"), `${count(running.length)} running${more}, ${count(past.length)} of the last hundred`);
    this.table.update(shown, past);
  }

  tick() {
    this.table.tick();
  }

  show(line) {
    const shown = { ...line };
    delete shown.begun_ms;
    const members = Object.entries(shown).filter(([, value]) => value !== null);
    byId("line-members").replaceChildren(...members.flatMap(([key, value]) =>
      [el("dt", key), el("dd", el("bdi", member(key, value)))]));
    write(byId("line-title"), line.end ? "Request" : "Request in progress");
    write(byId("line-text"), asLine(shown));
    this.dialog.showModal();
  }
}

const runningRow = (of) => ({ id: of.id, end: "running", of });
const endedRow = (of) => ({ id: of.request_id, end: of.end, of });

// Texts and the status; digits are in every span.
const searched = ({ of, end }) =>
  [ENDS[end] ?? end, of.status, clockTime(of.time), ...Object.values(of).filter((value) => typeof value === "string")].join(" ");

const member = (key, value) => (key === "time" ? `${fullTime(value)} (${value})` : String(value));

function tokens(of) {
  if (of.tokens_in == null && of.tokens_out == null) return NOTHING;
  return `${count(of.tokens_in)} / ${count(of.tokens_out)}`;
}

function drawTime(cell, { of }) {
  const time = of.time ?? new Date(of.begun_ms).toISOString();
  if (!cell.firstChild) cell.append(el("button", { class: "open open-line" }, el("time")));
  const button = cell.firstChild;
  set(button.firstChild, "datetime", time);
  set(button, "title", `${fullTime(time)}: show the whole line`);
  write(button.firstChild, clockTime(time));
}

function drawModel(cell, { of }) {
  redraw(cell, [of.model, of.model_used], () => {
    const isOther = of.model_used && keyOf(of.model_used) !== keyOf(of.model ?? "");
    return [
      of.model === null ? el("span.quiet", NOTHING) : name(of.model),
      el("span.why", isOther && "→ ", isOther && name(of.model_used), ` ${of.path ?? of.route}`),
    ];
  });
}

function drawServer(cell, { of }) {
  redraw(cell, [of.server, of.why], () => [
    of.server === null ? el("span.quiet", NOTHING) : name(of.server),
    of.why ? el("span.why", of.why) : null,
  ]);
}

function drawEnd(cell, row) {
  const { of, end } = row;
  redraw(cell, [end, of.status, of.error], () => {
    const [shape, tone] = signOf(end, of.status);
    const running = of.status === null ? "no answer yet" : "in progress";
    const word = `${of.status ?? ""} ${end === "running" ? running : ENDS[end] ?? end}`.trim();
    const state = el("span.state", { "data-tone": tone }, mark(shape, tone), word);
    return [state, of.error ? el("span.why", { title: of.error, dir: "auto" }, of.error) : null];
  });
}

function signOf(end, status) {
  if (end === "running") return ["half", "accent"];
  if (BROKEN.has(end) || status >= 500) return ["cross", "bad"];
  if (end === "client_left") return ["bar", "muted"];
  return end === "refused" || status >= 400 ? ["triangle", "warn"] : ["full", "good"];
}
