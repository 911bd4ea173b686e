// Loads and jobs under way, what is owed, and what has yet to be pulled.

import { byId, el, keyed, mark, name, redraw, set, show, write } from "./dom.js";
import { bytes, plural, share, wholeSpan } from "./format.js";

export const WORDS = {
  load: "Load", unload: "Unload", pull: "Pull", push: "Push", create: "Create", copy: "Copy", delete: "Delete",
};
const WHY = {
  cold: "it was not in memory", options: "it was loaded with other options", preload: "it is to be kept there",
  ping: "a ping found it gone", hand: "asked for by hand",
};
const ASKED = {
  client: "asked for by a client", hand: WHY.hand, owed: "missed while the server was down", sync: "sync",
};

export class WorkSection {
  reads = ["servers", "jobs", "owed", "sync"];

  constructor({ store }) {
    this.store = store;
    this.list = byId("work-list");
  }

  render(state) {
    const found = works(state);
    show(byId("work-none"), found.length === 0);
    show(this.list, found.length > 0);
    keyed(this.list, found, (one) => one.key, made, (item, one) => this.fill(item, one));
  }

  tick() {
    for (const item of this.list.children) if (item.work) this.words(item);
  }

  fill(item, one) {
    item.work = one;
    const [title, , bar, targets] = item.children;
    set(item, "data-work", one.work);
    set(item, "data-kind", one.kind);
    set(item, "data-model", one.of.model);
    set(item, "data-server", one.server);
    redraw(title, [one.kind, one.of.model, one.server], () => [
      one.work === "owed" || one.work === "sync" ? mark("open", "muted") : mark("half", "accent"),
      el("span", `${WORDS[one.kind] ?? one.kind} `), name(one.of.model),
      one.server !== null && el("span", " on "), one.server !== null && name(one.server),
    ]);
    show(bar, one.work === "load");
    set(bar, "aria-label", `Load ${one.of.model}`);
    keyed(targets, one.of.targets ?? [], (target) => target.server, madeTarget, fillTarget);
    this.words(item);
  }

  words(item) {
    write(item.children[1], this.told(item.work).filter(Boolean).join(" · "));
  }

  told({ work, of }) {
    if (work === "sync") return toldOfSync(of, this.store.now());
    const age = wholeSpan(this.store.age(of));
    if (work === "owed") return [`owed for ${age}`, "done when the server is back"];
    if (work === "job") {
      const watchers = of.watchers > 0 && plural(of.watchers, "watcher");
      return [age, ASKED[of.why] ?? of.why, of.is_waiting && "waits for an earlier job of this model", watchers];
    }
    const verb = of.waiting.length === 1 ? "waits" : "wait";
    const requests = of.waiting.length > 0 && `${plural(of.waiting.length, "request")} ${verb}`;
    return [age, WHY[of.why] ?? of.why, !of.has_begun && "waits for another load of this model", requests];
  }
}

// All that goes on, in the order in which it is shown.
export function works(state) {
  const loads = state.servers.flatMap(({ id, loading }) =>
    loading.map((of) => ({ work: "load", kind: "load", server: id, of })));
  const jobs = state.jobs.map((of) => ({ work: "job", kind: of.kind, server: null, of }));
  const owed = state.owed.map((of) => ({ work: "owed", kind: of.kind, server: of.server, of }));
  const isToCome = ({ status }) => status !== "pulling" && status !== "deleted"; // a job, and over
  const sync = state.sync.filter(isToCome).map((of) => ({ work: "sync", kind: "pull", server: of.server, of }));
  const all = [...loads, ...jobs, ...sync, ...owed];
  for (const one of all) one.key = [one.work, one.kind, one.server, one.of.model].join("\n");
  return all;
}

function made() {
  return el("li", el("p.title"), el("p.quiet"), el("progress", { hidden: true }), el("ul.targets"));
}

function madeTarget(target) {
  return el("li", { "data-target": target.server }, name(target.server), el("progress"), el("span.quiet"));
}

function fillTarget(item, { server, status, completed, total }) {
  const [, bar, words] = item.children;
  const isKnown = Boolean(total) && completed !== null;
  set(bar, "max", isKnown ? total : null);
  set(bar, "value", isKnown ? completed : null);
  set(bar, "aria-label", `Progress on ${server}`);
  const sizes = isKnown ? `${share(completed / total)} · ${bytes(completed)} of ${bytes(total)} · ` : "";
  write(words, `${sizes}${status ?? "not begun"}`);
}

function toldOfSync({ status, failures, error, due_ms }, now) {
  const next = due_ms ? `next try in ${wholeSpan((due_ms - now) / 1000)}` : null;
  const failed = `failed ${plural(failures, "time")}`;
  const words = { waiting: "waits for the server or its turn", failed };
  return [words[status] ?? status, next, error];
}
