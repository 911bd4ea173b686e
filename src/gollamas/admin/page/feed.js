// The one connection to the proxy: reads /events, says when it is lost, and begins again.
// By fetch: EventSource tells neither why it was refused nor that nothing comes any more.

const SILENCE_MS = 45_000; // three comments missed
const HIDDEN_MS = 300_000; // a page that nobody has looked at for so long lets go
const CHECK_MS = 5_000;

export class Feed {
  // `onEvent(kind, data)` gets each event, `onChange("live" | "lost" | "paused", why)` how the connection is.
  constructor(onEvent, onChange) {
    this.onEvent = onEvent;
    this.onChange = onChange;
    this.retry_ms = 2000;
    this.hiddenAt = null;
    setInterval(() => this.check(), CHECK_MS);
    document.addEventListener("visibilitychange", () => {
      this.hiddenAt = document.hidden ? performance.now() : null;
      if (!document.hidden) this.wake?.();
    });
    this.run();
  }

  async run() {
    for (;;) {
      let why = "it ended the connection";
      this.heardAt = performance.now();
      this.abort = new AbortController();
      const { signal } = this.abort;
      try {
        await this.read(signal);
      } catch (error) {
        why = signal.aborted ? signal.reason : error.said ?? "it does not answer";
      }
      do {
        this.onChange(this.isUnwatched() ? "paused" : "lost", why);
        await new Promise((resolve) => {
          this.wake = resolve;
          setTimeout(resolve, this.retry_ms);
        });
      } while (this.isUnwatched());
    }
  }

  async read(signal) {
    const response = await fetch("events", { signal, cache: "no-store" });
    if (!response.ok) throw Object.assign(new Error(), { said: await refusal(response) });
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    for (let rest = ""; ; ) {
      const { done, value } = await reader.read();
      if (done) return;
      this.heardAt = performance.now();
      const from = Math.max(rest.length - 1, 0);
      rest += value;
      if (rest.indexOf("\n\n", from) < 0) continue; // most of a large event is searched once
      const blocks = rest.split("\n\n");
      rest = blocks.pop();
      for (const block of blocks) this.take(block);
    }
  }

  take(block) {
    const split = (line) => /^(\w*): ?(.*)$/.exec(line)?.slice(1) ?? ["", ""];
    const fields = Object.fromEntries(block.split("\n").map(split));
    if (fields.retry) this.retry_ms = Number(fields.retry);
    if (fields.data) this.onEvent(fields.event, JSON.parse(fields.data));
    this.onChange("live");
  }

  check() {
    if (this.isUnwatched()) this.abort.abort("nobody looks");
    else if (performance.now() - this.heardAt > SILENCE_MS) this.abort.abort("it has gone silent");
  }

  isUnwatched() {
    return this.hiddenAt !== null && performance.now() - this.hiddenAt > HIDDEN_MS;
  }
}

// Why a server did not do what it was asked, in its words.
export async function refusal(response) {
  const { error } = await response.json().catch(() => ({}));
  return String(error ?? `HTTP ${response.status}`);
}
