// The page: one connection, one state, and sections that are drawn anew where what they read has changed.

import { byId, set, show, write } from "./dom.js";
import { Feed } from "./feed.js";
import { clockTime, count, fullTime } from "./format.js";
import { Hands } from "./hands.js";
import { ModelsSection } from "./models.js";
import { NowSection } from "./now.js";
import { RequestsSection } from "./requests.js";
import { ServersSection } from "./servers.js";
import { Store } from "./store.js";
import { View } from "./view.js";
import { WorkSection, works } from "./work.js";
import { WrongSection, problems } from "./wrong.js";

const BUDGET_MS = 8; // of drawing in one frame; what is left follows in the next
const TICK_MS = 1000;

class Page {
  constructor() {
    this.store = new Store();
    this.view = new View(() => this.drawAll());
    const parts = { store: this.store, view: this.view, hands: new Hands(this.store) };
    const kinds = [WrongSection, NowSection, ServersSection, ModelsSection, RequestsSection, WorkSection];
    this.sections = kinds.map((Section) => new Section(parts));
    this.dirty = new Set();
    this.isAsked = false;
    this.lostAt = null;
  }

  start() {
    new Feed((kind, data) => this.take(kind, data), (what, why) => this.connection(what, why));
    setInterval(() => this.tick(), TICK_MS);
    document.querySelector("nav").onclick = ({ target }) => lead(target.closest("a")?.hash);
  }

  take(kind, data) {
    const changed = this.store.take(kind, data);
    for (const section of this.sections) {
      if (section.reads.some((member) => changed.includes(member))) this.dirty.add(section);
    }
    this.head();
    this.ask();
  }

  drawAll() {
    for (const section of this.sections ?? []) this.dirty.add(section);
    this.ask();
  }

  ask() {
    if (this.isAsked || this.dirty.size === 0 || this.store.state === null) return;
    this.isAsked = true;
    requestAnimationFrame(() => this.draw());
  }

  draw() {
    this.isAsked = false;
    const begun = performance.now();
    for (const section of this.dirty) {
      this.dirty.delete(section);
      section.render(this.store.state);
      if (performance.now() - begun > BUDGET_MS) break;
    }
    if (this.dirty.size) this.ask();
    else if (!this.isDrawn) {
      this.isDrawn = true;
      lead(location.hash);
    }
  }

  tick() {
    if (document.hidden || this.store.state === null || this.store.stoppedAt_ms !== null) return;
    for (const section of this.sections) section.tick?.();
  }

  // What is said of the whole, also in the title of a tab in the background.
  head() {
    const { state } = this.store;
    const found = problems(state).length;
    const title = found ? `(${found}) gollamas` : "gollamas";
    if (document.title !== title) document.title = title;
    write(byId("version"), state.gollamas ?? "");
    const isReady = state.not_ready === null;
    write(byId("ready"), isReady ? "Ready" : "Not ready");
    set(byId("ready"), "data-tone", isReady ? "good" : "bad");
    const numbers = {
      wrong: found, servers: state.servers.length, models: state.models.length,
      requests: state.requests.length, work: works(state).length,
    };
    for (const name in numbers) write(document.querySelector(`[data-count=${name}]`), count(numbers[name]));
    set(byId("version"), "title", `Running since ${fullTime(state.started_at)}`);
  }

  connection(what, why) {
    const banner = byId("connection");
    set(document.documentElement, "data-connection", what);
    if (what === "live") {
      this.lostAt = null;
      show(banner, false);
      return;
    }
    this.store.stop();
    this.lostAt ??= new Date().toISOString();
    const seen = this.store.state === null ? "" : ` This is how it was at ${clockTime(this.lostAt)}.`;
    show(banner, true);
    write(banner, what === "paused"
      ? "Paused while nobody was looking; reconnecting."
      : `No connection to the proxy: ${why}.${seen} The page reconnects by itself.`);
    write(byId("ready"), "Not connected");
    set(byId("ready"), "data-tone", "bad");
  }
}

// The height of what was not seen yet is a guess: what lies above is drawn on the way.
function lead(hash) {
  const section = document.getElementById(hash?.slice(1) ?? "");
  let frames = 30;
  const step = () => {
    section?.scrollIntoView();
    if (--frames) requestAnimationFrame(step);
  };
  step();
}

new Page().start();
