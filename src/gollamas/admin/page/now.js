// The traffic of this moment, each number with the line of its last ten minutes.

import { byId, el, set, svg, write } from "./dom.js";
import { count, rate, span } from "./format.js";

const METRICS = [
  ["requests_per_s", "Requests a second", rate],
  ["tokens_per_s", "Tokens a second", rate],
  ["in_flight", "In flight", count],
  ["waiting", "Waiting", count],
  ["first_byte_p50_s", "First byte, p50", span],
  ["first_byte_p95_s", "First byte, p95", span],
  ["errors_per_s", "Errors a second", rate],
];
const WIDTH = 120;
const HEIGHT = 32;
const POINTS = 120;

export class NowSection {
  reads = ["traffic", "history"];

  constructor() {
    this.tiles = METRICS.map(([id, title, written]) => {
      const value = el("span.value");
      const area = svg("path", { class: "area" });
      const line = svg("path", { class: "line" });
      const viewBox = `0 0 ${WIDTH + 4} ${HEIGHT + 4}`;
      const graph = svg("svg", { role: "img", viewBox, preserveAspectRatio: "none" }, area, line);
      const range = el("span.range");
      byId("tiles").append(el("li", { "data-metric": id }, el("span.quiet", title), value, graph, range));
      return { id, title, written, value, area, line, graph, range };
    });
  }

  render({ traffic, history }) {
    for (const tile of this.tiles) {
      const current = traffic?.[tile.id] ?? null;
      write(tile.value, tile.written(current));
      if (tile.id === "errors_per_s") set(tile.value, "data-tone", current ? "bad" : null);
      draw(tile, history?.[tile.id] ?? [], current);
    }
  }
}

function draw(tile, samples, current) {
  const known = samples.filter((sample) => sample !== null);
  const top = Math.max(...known, 0);
  const x = (at) => 2 + ((POINTS - samples.length + at) / (POINTS - 1)) * WIDTH;
  const y = (sample) => 2 + HEIGHT - (top ? sample / top : 0) * HEIGHT;
  let line = "";
  let area = "";
  samples.forEach((sample, at) => {
    if (sample === null) return;
    const point = `${x(at).toFixed(1)} ${y(sample).toFixed(1)}`;
    const isFirst = at === 0 || samples[at - 1] === null;
    const isLast = at === samples.length - 1 || samples[at + 1] === null;
    line += `${isFirst ? "M" : "L"}${point}${isFirst && isLast ? "h.1" : ""}`;
    area += `${isFirst ? `M${x(at).toFixed(1)} ${HEIGHT + 2}L` : "L"}${point}${isLast ? `V${HEIGHT + 2}Z` : ""}`;
  });
  set(tile.line, "d", line);
  set(tile.area, "d", area);
  const range = known.length ? `${tile.written(Math.min(...known))} to ${tile.written(top)}` : "no samples yet";
  write(tile.range, known.length ? `peak ${tile.written(top)}` : range);
  set(tile.graph, "aria-label", `${tile.title} over the last ten minutes: ${range}, now ${tile.written(current)}`);
}
