// What is wrong now, in the order in which the proxy names it, each with what to do.

import { byId, el, keyed, mark, set, show, write } from "./dom.js";
import { ago, clockTime, fullTime } from "./format.js";

const WORDS = {
  not_ready: "Not ready", server_down: "Server down", no_server: "No server up", model_missing: "Model missing",
  digests_differ: "Digests differ", on_cpu: "Partly on the CPU", crowded: "Crowded out", owed: "Owed",
  sync_failing: "Sync fails", reloads: "Reloads",
};
const LAST = new Set(["crowded", "reloads"]); // of what happened, the last time is told
const WORST = new Set(["not_ready", "server_down", "no_server"]);

export class WrongSection {
  reads = ["wrong", "not_ready"];

  constructor({ store, hands }) {
    this.store = store;
    this.hands = hands;
    this.list = byId("wrong-list");
    byId("wrong-none").prepend(mark("full", "good"));
    this.known = null;
  }

  render(state) {
    const found = problems(state);
    show(byId("wrong-none"), found.length === 0);
    show(this.list, found.length > 0);
    keyed(this.list, found, keyOf, () => this.made(), (item, one) => this.fill(item, one));
    this.announce(found);
  }

  // Says what is new to those who do not see it.
  announce(found) {
    const fresh = found.filter((one) => this.known && !this.known.has(keyOf(one)));
    if (fresh.length) write(byId("wrong-news"), fresh.map((one) => one.text).join(" "));
    this.known = new Set(found.map(keyOf));
  }

  made() {
    const pull = el("button.small", { "data-hand": "pull" }, "Pull");
    const item = el("li", el("span.kind"), el("p", { class: "wrong-text", dir: "auto" }),
      el("p", { class: "wrong-advice", dir: "auto" }), el("time"), pull);
    pull.onclick = () => this.hands.want("pull", item.problem.model, item.problem.server);
    return item;
  }

  fill(item, one) {
    const [kind, text, advice, , pull] = item.children;
    item.problem = one;
    const isWorst = WORST.has(one.kind);
    for (const member of ["kind", "server", "model"]) set(item, `data-${member}`, one[member]);
    set(item, "data-tone", isWorst ? "bad" : "warn");
    if (!kind.firstChild) {
      const word = WORDS[one.kind] ?? one.kind.replaceAll("_", " ");
      kind.append(mark(isWorst ? "cross" : "triangle", isWorst ? "bad" : "warn"), word);
    }
    write(text, one.text);
    write(advice, one.advice ?? "");
    show(pull, one.kind === "model_missing" && Boolean(one.model && one.server));
    this.since(item);
  }

  since(item) {
    const time = item.children[3];
    const { since } = item.problem;
    show(time, Boolean(since));
    if (!since) return;
    set(time, "datetime", since);
    set(time, "title", fullTime(since));
    write(time, `${LAST.has(item.problem.kind) ? "last at" : "since"} ${clockTime(since)}, ${ago(since, this.store.now())}`);
  }

  tick() {
    for (const item of this.list.children) if (item.problem) this.since(item);
  }
}

export function problems(state) {
  const advice = "While this holds, /readyz answers 503.";
  const first = state.not_ready ? [{ kind: "not_ready", text: state.not_ready, advice, since: null }] : [];
  return [...first, ...state.wrong];
}

// Counts and names in a text change while the problem stays the same one.
const keyOf = (one) => `${one.kind}\n${one.server ?? ""}\n${one.model ?? ""}\n${one.server || one.model ? "" : one.text}`;
