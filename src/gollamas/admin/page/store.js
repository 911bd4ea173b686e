// What the proxy told: the whole state, then the changes, and what time it is there.
// Owns no element. Members that an event does not change keep their identity, which is what sections compare.

const KEPT = 100; // ended requests

export class Store {
  constructor() {
    this.state = null;
    this.toldAt_ms = 0; // by the proxy's clock
    this.heardAt_ms = 0; // by ours, which only measures what has passed since
    this.stoppedAt_ms = null;
  }

  // Takes an event in; returns the names of the members that changed.
  take(kind, data) {
    this.heardAt_ms = performance.now();
    this.stoppedAt_ms = null;
    this.toldAt_ms = Date.parse(data.time);
    this.stamp(data);
    if (kind === "state") this.state = data;
    else for (const name in data) this.change(name, data[name]);
    return Object.keys(data);
  }

  change(name, value) {
    const state = this.state;
    if (name === "servers") state.servers = merged(state.servers, value);
    else if (name === "ended") state.ended = [...state.ended, ...value].slice(-KEPT);
    else if (name === "traffic") {
      if (value.time !== state.traffic?.time) state.history = lengthened(state.history, value);
      state.traffic = value;
    } else state[name] = value;
  }

  // Ages are of the moment they were told: notes when what has an age began, and when what is to come is due.
  stamp(data) {
    const begun = (one) => (one.begun_ms = this.toldAt_ms - one.age_s * 1000);
    for (const name of ["requests", "jobs", "owed"]) for (const one of data[name] ?? []) begun(one);
    for (const server of data.servers ?? []) for (const one of server.loading ?? []) begun(one);
    for (const one of data.sync ?? []) {
      one.due_ms = one.retry_in_s === null ? null : this.toldAt_ms + one.retry_in_s * 1000;
    }
  }

  // The proxy's time, which stands still while nothing is heard of it.
  now() {
    return this.toldAt_ms + (this.stoppedAt_ms ?? performance.now()) - this.heardAt_ms;
  }

  stop() {
    this.stoppedAt_ms ??= performance.now();
  }

  age(one) {
    return Math.max(0, (this.now() - one.begun_ms) / 1000);
  }
}

function merged(servers, changes) {
  const byId = new Map(changes.map((one) => [one.id, one]));
  const result = servers.map((server) => {
    const change = byId.get(server.id);
    byId.delete(server.id);
    return change === undefined ? server : { ...server, ...change };
  });
  return [...result, ...byId.values()];
}

function lengthened(history, sample) {
  const length = Math.round(600 / history.every_s);
  // Where samples were missed, nothing is known of them.
  const missed = Math.round((Date.parse(sample.time) - Date.parse(history.until)) / 1000 / history.every_s) - 1;
  const gap = Array(Math.min(Math.max(missed, 0), length)).fill(null);
  const result = { every_s: history.every_s, until: sample.time };
  for (const name in history) {
    if (Array.isArray(history[name])) {
      result[name] = [...history[name], ...gap, sample[name] ?? null].slice(-length);
    }
  }
  return result;
}
