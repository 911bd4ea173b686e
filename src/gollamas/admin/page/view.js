// Sorting and filters, which stand in the URL: a reload or a link shows the same.

import { byId } from "./dom.js";

export class View {
  constructor(onChange) {
    this.onChange = onChange;
    const read = () => (this.parameters = new URLSearchParams(location.search));
    read();
    addEventListener("popstate", () => {
      read();
      onChange();
    });
  }

  get(name) {
    return this.parameters.get(name) ?? "";
  }

  set(name, value) {
    if (value) this.parameters.set(name, value);
    else this.parameters.delete(name);
    const query = this.parameters.toString();
    history.replaceState(null, "", `${location.pathname}${query && `?${query}`}${location.hash}`);
    this.onChange();
  }

  // Binds the filter of a table to its input; returns what gives a test of texts.
  filter(table) {
    const input = byId(`${table}-filter`);
    const name = `${table}_filter`;
    input.addEventListener("input", () => this.set(name, input.value));
    return () => {
      const text = this.get(name);
      if (input.value !== text) input.value = text;
      const words = text.toLowerCase().split(/\s+/).filter(Boolean);
      return (searched) => {
        if (words.length === 0) return true;
        const lower = searched().toLowerCase();
        return words.every((word) => lower.includes(word));
      };
    };
  }
}
