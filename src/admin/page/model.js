// What the gate has told: answers of /status one after the other, and the questions that the page has about them.
// Nothing here touches the document.

/** How long answers are kept, and the span of "last minute", in seconds. */
const KEPT = 125, WINDOW = 60;

class History {
  answers = [];

  add(status) {
    const last = this.answers.at(-1);
    // Another process counts from zero; so does a clock that was set back, as far as rates go.
    if (last && (last.started !== status.started || status.now <= last.now)) this.answers = [];
    this.answers.push(status);
    while (this.answers.length > 2 && this.answers[1].now < status.now - KEPT) this.answers.shift();
  }

  get last() { return this.answers.at(-1); }

  /** The answer with which the last minute begins, and how many seconds it is old. */
  get window() {
    const last = this.last;
    const first = this.answers.findLast(answer => answer.now <= last.now - WINDOW) ?? this.answers[0];
    return { first, seconds: last.now - first.now };
  }

  /** Pairs of neighbours, oldest first. */
  *steps() {
    for (let at = 1; at < this.answers.length; at++) yield [this.answers[at - 1], this.answers[at]];
  }
}

/** The counters and phases of one core, or of all. */
const scoped = (status, scope) =>
  scope === "all" ? status.total : status.cores.find(core => String(core.cpu) === scope) ?? status.total;

const grown = (before, after, key) => (after.counters[key] ?? 0) - (before.counters[key] ?? 0);

const parsed = new Map();

/** A series taken apart: sluicegate_logins_total{outcome="ok"} is the family "logins" with its labels. Each is read once. */
function parse(series) {
  if (!parsed.has(series)) parsed.set(series, read(series));
  return parsed.get(series);
}

function read(series) {
  const [, family, labels = ""] = /^([^{]*)(?:\{(.*)\})?$/s.exec(series);
  const pairs = [...labels.matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g)].map(([, key, value]) => [key, value]);
  const words = family.replace(/^sluicegate_/, "").replace(/_(total|seconds)$/, "").replaceAll("_", " ");
  return { family: words, labels: Object.fromEntries(pairs) };
}

/** The same for a person to read. */
function title(series) {
  const { family, labels } = parse(series);
  const said = Object.entries(labels).map(([key, value]) => /^(yes|no|true|false|[\d.]+)$/.test(value) ? `${key} ${value}` : value);
  return [family, ...said].join(" · ");
}

/** The series of a family whose labels fit. */
const seriesOf = (of, family, labels = {}) => Object.keys(of).filter(series => {
  const told = parse(series);
  return told.family === family && Object.entries(labels).every(([key, wanted]) => told.labels[key] === wanted);
});

/** Their sum. */
const sum = (of, family, labels) => seriesOf(of, family, labels).reduce((total, series) => total + of[series], 0);

/** What has been counted between two answers. */
function difference(before, after) {
  const counters = {};
  for (const key of Object.keys(after.counters)) counters[key] = grown(before, after, key);
  return counters;
}

/** How many times fell into each octave between two answers. */
const octavesBetween = (before, after, phase) =>
  (after.phases[phase]?.octaves ?? []).map((count, octave) => count - (before.phases[phase]?.octaves[octave] ?? 0));

/** A percentile out of octaves: exact to the octave, estimated within it. */
function percentile(octaves, quantile) {
  const count = octaves.reduce((sum, more) => sum + more, 0);
  if (!count) return null;
  let left = quantile * count;
  for (const [octave, inside] of octaves.entries()) {
    if (inside && left <= inside) return 2 ** (octave + left / inside);
    left -= inside;
  }
  return 2 ** octaves.length;
}

/** Microseconds for a person. */
function duration(micros) {
  if (micros == null) return "–";
  const [value, unit] = micros < 1e3 ? [micros, "µs"] : micros < 1e6 ? [micros / 1e3, "ms"] : micros < 12e7 ? [micros / 1e6, "s"] : micros < 72e8 ? [micros / 6e7, "min"] : [micros / 36e8, "h"];
  return `${value < 9.95 && unit !== "µs" ? value.toFixed(1) : Math.round(value)} ${unit}`;
}

/** Seconds for a person: two units. */
function age(seconds) {
  const units = [["d", 86400], ["h", 3600], ["min", 60], ["s", 1]];
  const at = units.findIndex(([, size]) => seconds >= size);
  if (at < 0) return "0 s";
  const [unit, size] = units[at], [less, small] = units[at + 1] ?? [];
  const rest = less ? Math.floor(seconds % size / small) : 0;
  return `${Math.floor(seconds / size)} ${unit}${rest ? ` ${rest} ${less}` : ""}`;
}

/** A number and its unit, apart. */
function scaled(value, unit = "") {
  const steps = ["", "k", "M", "G", "T"];
  let at = 0;
  while (value >= 999.5 && at < steps.length - 1) { value /= 1000; at++; }
  const text = value === 0 ? "0" : value < 0.095 ? value.toFixed(2) : value < 9.95 && !Number.isInteger(value) ? value.toFixed(1) : String(Math.round(value));
  return [text, steps[at] + unit];
}

const number = (value, unit) => scaled(value, unit).join(" ").trim();
const count = value => value.toLocaleString("en").replaceAll(",", "\u202f");
const many = (value, one, more = one + "s") => `${count(value)} ${value === 1 ? one : more}`;

/** Whether it is a fault, or worth a look, that something was counted at all. What only tells how is not: the outcome tells. */
function gradeOf({ family, labels }) {
  if (/panicked|exhausted|dropped/.test(family)) return "bad";
  if (/refused/.test(family) || labels.policy === "reject") return "warn";
  return /^(logins|transfers)$/.test(family) && /failed|broken|unestablished/.test(labels.outcome) ? "warn" : null;
}

/** What somebody should look at, worst first: a grade, a subject, and what is the matter. */
function wants(status, window) {
  const found = [];
  const add = (grade, subject, matter) => found.push({ grade, subject, matter });
  for (const core of status.cores) if (!core.answered) add("bad", `CPU ${core.cpu}`, "the core does not answer; its last numbers are shown");
  if (status.draining) add("warn", "Stopping", `no new sessions are taken; ${many(status.sessions, "session")} left`);
  const { last_reload: reload, restart = [] } = status.config ?? {};
  if (reload?.outcome === "refused") {
    const [first, ...more] = reload.complaints.map(told => [told.place, told.key, told.problem].filter(Boolean).join(" "));
    add("bad", "Configuration", `the last reload was refused, and the one before goes on: ${first}${more.length ? ` (and ${count(more.length)} more)` : ""}`);
  }
  if (restart.length) add("warn", "Configuration", `what was changed waits for a restart: ${restart.join(", ")}`);
  for (const pool of status.backends) {
    const resting = pool.members.filter(member => member.resting_on > 0);
    if (!resting.length) continue;
    const all = resting.length === pool.members.length && resting.every(member => member.resting_on >= member.cores);
    const names = resting.map(member => `${member.address} (${member.last_failure.reason})`).join(", ");
    add(all ? "bad" : "warn", `Pool ${pool.pool}`, all ? `every member has failed lately: ${names}` : `some cores try others first, as these have failed lately: ${names}`);
  }
  for (const listener of status.listeners) {
    const share = listener.passive_ports ? listener.passive_ports_in_use / listener.passive_ports : 0;
    if (share >= 0.8) add(share >= 1 ? "bad" : "warn", `Listener ${listener.name}`, `${listener.passive_ports_in_use} of ${listener.passive_ports} passive ports are in use`);
  }
  for (const [series, more] of Object.entries(window)) {
    if (more <= 0) continue;
    const grade = gradeOf(parse(series));
    if (grade) { const name = title(series); add(grade, name[0].toUpperCase() + name.slice(1), `${count(more)} in the last minute`); }
  }
  return found.sort((one, other) => (other.grade === "bad") - (one.grade === "bad"));
}
