// What each model is on each server, made of what the proxy tells of both.

import { context, keepAlive, wholeSpan } from "./format.js";

// Each state of a model on a server: its sign and its word.
export const STATES = {
  loaded: { shape: "full", tone: "good", word: "loaded" },
  loading: { shape: "half", tone: "accent", word: "loading" },
  pulling: { shape: "half", tone: "accent", word: "pulling" },
  waiting: { shape: "half", tone: "muted", word: "to be pulled" },
  failed: { shape: "cross", tone: "bad", word: "pull failed" },
  installed: { shape: "open", tone: "muted", word: "installed" },
  missing: { shape: "cross", tone: "bad", word: "missing" },
  unknown: { shape: "bar", tone: "muted", word: "unknown" },
  none: { shape: "dot", tone: "muted", word: "not there" },
};

export const HEALTH = {
  up: { shape: "full", tone: "good" },
  suspect: { shape: "triangle", tone: "warn" },
  down: { shape: "cross", tone: "bad" },
  unknown: { shape: "open", tone: "muted" },
};

const ENDS = new Set(["done", "missing", "failed", "down", "stopped"]); // of a job on a server
const MOST_KEYS = 10_000;
const keys = new Map();

// The form by which Ollama compares names: all four parts, in lower case.
export function keyOf(name) {
  if (keys.size > MOST_KEYS) keys.clear(); // names are whatever clients write
  if (!keys.has(name)) keys.set(name, newKey(name));
  return keys.get(name);
}

function newKey(name) {
  let rest = name.trim().toLowerCase().replace(/:local$/, "");
  if (rest.lastIndexOf(":") <= rest.lastIndexOf("/")) rest += ":latest";
  const parts = rest.split("/");
  if (parts.length === 1) parts.unshift("library");
  if (parts.length === 2) parts.unshift("registry.ollama.ai");
  return parts.join("/");
}

const byModel = (list) => new Map(list.map((entry) => [keyOf(entry.model ?? entry), entry]));

// The table of models and servers. A cell or row that is the same stays the same object: few of 20,000 change at once.
export class Matrix {
  columns = new Map(); // by the server's id
  rows = new Map(); // by the model's name

  update(models, servers, sync, jobs) {
    const tasks = new Map(servers.map((server) => [server.id, new Map()]));
    for (const { server, model, status } of sync) if (status in STATES) tasks.get(server)?.set(keyOf(model), status);
    for (const job of jobs) {
      if (job.kind !== "pull" || job.is_waiting) continue;
      for (const { server, status } of job.targets) if (!ENDS.has(status)) tasks.get(server)?.set(keyOf(job.model), "pulling");
    }
    this.columns = new Map(servers.map((server) => [server.id, this.column(server, models, tasks.get(server.id))]));
    const columns = [...this.columns.values()];
    const rows = models.map((model, at) => this.row(model, columns.map((column) => column.cells[at])));
    this.rows = new Map(rows.map((row) => [row.model.name, row]));
    return rows;
  }

  column(server, models, tasks) {
    const { id, installed, loaded, loading, missing } = server;
    const of = [installed, loaded, loading, missing, models, [...tasks].join()];
    const before = this.columns.get(id);
    if (before?.of.every((one, at) => one === of[at])) return before;
    const lists = { installed: installed && byModel(installed) };
    for (const name of ["loaded", "loading", "missing"]) lists[name] = byModel(server[name]);
    const cells = models.map((model, at) => {
      const key = keyOf(model.name);
      const entry = lists.installed?.get(key);
      const digest = entry?.digest || null;
      const state = tasks.get(key) ?? stateOf(lists, key, () => model.servers.includes(id));
      const old = before?.cells[at];
      const isSame = old && old.state === state && old.digest === digest && before.of[4] === models;
      return isSame ? old : { id, state, digest, isInstalled: entry !== undefined };
    });
    return { of, cells };
  }

  row(model, cells) {
    const before = this.rows.get(model.name);
    if (before?.model === model && cells.every((cell, at) => cell === before.cells[at])) return before;
    const digests = new Map();
    for (const { digest } of cells) if (digest !== null) digests.set(digest, (digests.get(digest) ?? 0) + 1);
    const [usual] = [...digests].reduce((best, one) => (one[1] > best[1] ? one : best), [null, 0]);
    const loaded = cells.filter((cell) => cell.state === "loaded").length;
    const installed = cells.filter((cell) => cell.isInstalled).length;
    return { model, cells, usual, digests: digests.size, loaded, installed };
  }
}

function stateOf(lists, key, isServed) {
  if (lists.loading.has(key)) return "loading";
  if (lists.loaded.has(key)) return "loaded";
  if (lists.installed?.has(key)) return "installed";
  if (lists.missing.has(key)) return "missing";
  return lists.installed === null && isServed() ? "unknown" : "none";
}

// Digests as `ollama list` shows them.
export const shortDigest = (digest) => digest.replace(/^sha256:/, "").slice(0, 12);

export function policyWords(policy) {
  const words = [];
  const forced = (is) => (is ? ", forced" : "");
  if (policy.num_ctx != null) {
    const which = policy.num_ctx === "loaded" ? "as loaded" : context(policy.num_ctx);
    words.push(`context ${which}${forced(policy.forces_num_ctx)}`);
  }
  if (policy.limit_num_ctx) {
    const beyond = policy.on_limit === "clamp" ? "lowered to that" : "else an error";
    words.push(`at most ${context(policy.limit_num_ctx)}, ${beyond}`);
  }
  if (policy.on_overflow === "error") words.push("longer prompts refused");
  if (policy.keep_alive != null) {
    words.push(`${keepAlive(policy.keep_alive)}${forced(policy.forces_keep_alive)}`);
  }
  return words.join("; ");
}

// The policy of a model where it is the same on all its servers, else null.
export function commonPolicy(model) {
  const words = new Set(model.servers.map((id) => (model.policies[id] ? policyWords(model.policies[id]) : "")));
  return words.size > 1 ? null : [...words][0] ?? "";
}

export function keptWords(model) {
  const words = [];
  if (model.preload) words.push(model.preload < 0 ? "preload on all" : `preload on ${model.preload}`);
  const pings = [...new Set(Object.values(model.pings))];
  if (pings.length) words.push(pings.length > 1 ? "pings" : `ping each ${wholeSpan(pings[0])}`);
  if (model.sync) words.push("sync");
  return words.join(", ");
}
