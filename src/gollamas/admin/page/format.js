// Numbers, spans, sizes and times as people read them.

const NEVER_S = 100 * 365 * 86400; // Ollama writes "never" as some 300 years

const [whole, one, two] = [0, 1, 2].map(
  (digits) => new Intl.NumberFormat("en", { minimumFractionDigits: digits, maximumFractionDigits: digits }).format);
const timeOfDay = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const dayAndTime = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "long" });

export const NOTHING = "–";

export const count = (number) => (number == null ? NOTHING : whole(number));

export function plural(number, word, words = `${word}s`) {
  return `${count(number)} ${number === 1 ? word : words}`;
}

export function rate(number) {
  if (number == null) return NOTHING;
  return number === 0 ? "0" : number < 10 ? two(number) : number < 100 ? one(number) : count(number);
}

export function span(seconds) {
  if (seconds == null) return NOTHING;
  if (seconds < 0.0095) return `${one(seconds * 1000)} ms`;
  if (seconds < 0.9995) return `${whole(seconds * 1000)} ms`;
  if (seconds < 9.995) return `${two(seconds)} s`;
  if (seconds < 59.95) return `${one(seconds)} s`;
  return wholeSpan(seconds);
}

// For what goes on: no more than people can follow.
export function wholeSpan(seconds) {
  const rounded = Math.max(0, Math.floor(seconds));
  const units = [[86400, Infinity, "d"], [3600, 24, "h"], [60, 60, "min"], [1, 60, "s"]];
  const parts = units.map(([size, turn, unit]) => [Math.floor(rounded / size) % turn, unit]);
  const first = parts.findIndex(([number]) => number > 0);
  if (first < 0) return "0 s";
  return parts.slice(first, first + 2).filter(([number]) => number).map((part) => part.join(" ")).join(" ");
}

export function bytes(number) {
  const units = ["B", "KB", "MB", "GB", "TB"]; // of 1,000 each, as `ollama list` has them
  let unit = 0;
  let left = number;
  for (; left >= 999.5 && unit < units.length - 1; unit++) left /= 1000;
  return `${unit === 0 || left >= 99.5 ? whole(left) : one(left)} ${units[unit]}`;
}

export const share = (part) => `${part > 0 && part < 0.01 ? "<1" : whole(part * 100)} %`;

export function context(tokens) {
  return tokens % 1024 === 0 ? `${whole(tokens / 1024)}K` : count(tokens);
}

export const clockTime = (time) => (time ? timeOfDay.format(Date.parse(time)) : NOTHING);

export const fullTime = (time) => (time ? dayAndTime.format(Date.parse(time)) : "");

export const ago = (time, now) => `${wholeSpan((now - Date.parse(time)) / 1000)} ago`;

// When an instance leaves memory: a request that runs sets its time anew at its end.
export function untilUnloaded(time, now, isBusy) {
  if (!time) return "expiry unknown";
  const seconds = (Date.parse(time) - now) / 1000;
  if (seconds > NEVER_S) return "stays";
  return seconds <= 0 ? (isBusy ? "in use" : "about to leave") : `${wholeSpan(seconds)} left`;
}

export function keepAlive(seconds) {
  if (seconds < 0 || seconds > NEVER_S) return "stays in memory";
  return seconds === 0 ? "unloaded at once" : `stays ${wholeSpan(seconds)}`;
}

// As a log writes it: its characters escaped, and spans with a point.
export function asLine(value) {
  return JSON.stringify(value).replace(/_s":\d+(?=[,}])/g, "$&.0").replace(/[\p{C}\p{Zl}\p{Zp}]/gu, (character) =>
    character.split("").map((unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`).join(""));
}
