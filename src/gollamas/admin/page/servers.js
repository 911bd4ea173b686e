// Each server: how it is, and what it holds in memory.

import { byId, el, keyed, mark, name, redraw, set, write } from "./dom.js";
import { HEALTH } from "./fleet.js";
import { NOTHING, ago, context, count, fullTime, plural, share, untilUnloaded, wholeSpan } from "./format.js";
import { Table, textColumn } from "./table.js";

const ORDER = ["down", "suspect", "unknown", "up"];

export class ServersSection {
  reads = ["servers"];

  constructor({ store, view, hands }) {
    this.store = store;
    this.hands = hands;
    this.filter = view.filter("servers");
    this.table = new Table(byId("servers-table"), "servers", view, {
      key: (server) => server.id,
      attributes: (server) => ({ "data-server": server.id, "data-health": server.health }),
    });
    this.table.setColumns([
      { id: "id", title: "Server", isHead: true, sort: (server) => server.id, draw: drawId },
      { id: "health", title: "Health", sort: (server) => ORDER.indexOf(server.health),
        draw: (cell, server) => this.drawHealth(cell, server), tick: (cell, server) => this.drawSince(cell, server) },
      textColumn("version", "Version", (server) => server.version ?? NOTHING),
      textColumn("in_flight", "In flight", (server) => count(server.in_flight),
        { sort: (server) => server.in_flight, isNumber: true }),
      { id: "memory", title: "In memory", sort: (server) => server.loaded.length,
        draw: (cell, server) => this.drawMemory(cell, server), tick: (cell, server) => this.drawTimes(cell, server) },
      { id: "loading", title: "Loading", draw: (cell, server) => this.drawLoading(cell, server),
        tick: (cell, server) => this.drawLoading(cell, server) },
    ]);
  }

  render({ servers }) {
    const passes = this.filter();
    const shown = servers.filter((server) => passes(() => searched(server)));
    const up = servers.filter((server) => server.health === "up").length;
    const some = shown.length < servers.length ? `, ${count(shown.length)} shown` : "";
    const words = `${count(up)} of ${count(servers.length)} up${some}`;
    write(byId("servers-count"), servers.length ? words : "none configured");
    this.table.update(shown);
  }

  tick() {
    this.table.tick();
  }

  drawHealth(cell, server) {
    redraw(cell, [server.health, server.why], () => {
      const sign = HEALTH[server.health] ?? HEALTH.unknown;
      const word = el("span.state", { "data-tone": sign.tone }, mark(sign.shape, sign.tone), server.health);
      const why = server.why && el("span.why", { title: server.why, dir: "auto" }, server.why);
      return [word, el("time.quiet"), why];
    });
    this.drawSince(cell, server);
  }

  drawSince(cell, server) {
    const time = cell.children[1];
    set(time, "datetime", server.since);
    set(time, "title", server.since && `since ${fullTime(server.since)}`);
    write(time, server.since ? ` for ${ago(server.since, this.store.now()).replace(" ago", "")}` : "");
  }

  drawMemory(cell, server) {
    if (!cell.firstChild) cell.append(el("ul.instances"));
    if (cell.loaded === server.loaded && cell.truncated === server.truncated) return;
    Object.assign(cell, { loaded: server.loaded, truncated: server.truncated });
    const keyOf = (instance) => `${instance.model}\n${instance.context_length}`;
    keyed(cell.firstChild, server.loaded, keyOf, () => this.instance(), (item, instance) => {
      item.of = [instance.model, server.id];
      const [shown, time, facts, button] = item.children;
      item.expires = instance.expires_at;
      set(item, "data-model", instance.model);
      write(shown, instance.model);
      set(shown, "title", instance.model);
      const told = words(instance, server);
      redraw(facts, told, () => told.map(([text, tone]) => el("span", { "data-tone": tone }, text)));
      set(button, "aria-label", `Unload ${instance.model} from ${server.id}`);
    });
    this.drawTimes(cell, server);
  }

  drawTimes(cell, server) {
    const [now, isBusy] = [this.store.now(), server.in_flight > 0];
    for (const item of cell.firstChild.children) write(item.children[1], untilUnloaded(item.expires, now, isBusy));
  }

  instance() {
    const button = el("button.small", { "data-hand": "unload" }, "Unload");
    const item = el("li", name(""), el("span.quiet"), el("span.facts"), button);
    button.onclick = () => this.hands.want("unload", ...item.of);
    return item;
  }

  drawLoading(cell, server) {
    const shown = server.loading.map((load) => {
      const parts = [load.has_begun ? wholeSpan(this.store.age(load)) : "waits for another load"];
      if (load.waiting.length) parts.push(`${plural(load.waiting.length, "request")} waiting`);
      return [load.model, parts.join(", ")];
    });
    redraw(cell, shown, () => shown.map(([model, words]) =>
      el("div", { "data-model": model }, mark("half", "accent"), name(model), " ", el("span.quiet", words))));
  }
}

function words(instance, server) {
  const cut = server.truncated[instance.model];
  return [
    instance.context_length && [`${context(instance.context_length)} context`, null],
    instance.cpu_share && [`${share(instance.cpu_share)} on the CPU`, instance.cpu_share < 1 ? "warn" : null], // else it has no GPU
    cut && [`${plural(cut, "prompt")} cut`, "warn"],
  ].filter(Boolean);
}

function drawId(cell, server) {
  redraw(cell, [server.id, server.url], () => [
    name(server.id), server.url !== server.id && el("span.why", { title: server.url }, el("bdi", server.url)),
  ]);
}

function searched(server) {
  const models = [...server.loaded, ...server.loading].map((one) => one.model);
  return [server.id, server.url, server.health, server.why, server.version, ...models].join(" ");
}
