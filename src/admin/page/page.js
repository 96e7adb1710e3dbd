// The page itself: asks every second, and writes what it hears. Text of the gate's peers goes in as text, never as markup.

const PERIOD = 1000, PATIENCE = 4000, SPAN = 120, SESSIONS_SHOWN = 50;
const history = new History();
const view = { scope: "all", span: "window", phase: null, paused: false, lost: null, find: null };
const by = id => document.getElementById(id);

/** An element with attributes and children. */
function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

/** Writes only what has changed: what is read aloud is not read again, and a selection stays. */
function write(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** The children of `parent`, one for each key and in their order; `create` makes those that are missing. What stood there first goes. */
function rows(parent, keys, create) {
  if (!parent.known) { parent.replaceChildren(); parent.known = new Map(); }
  const gone = new Set(parent.known.keys());
  let before = parent.firstElementChild;
  const elements = keys.map(key => {
    gone.delete(key);
    let element = parent.known.get(key);
    if (!element) parent.known.set(key, element = create(key));
    if (element === before) before = element.nextElementSibling;
    else parent.insertBefore(element, before);
    return element;
  });
  for (const key of gone) { parent.known.get(key).remove(); parent.known.delete(key); }
  return elements;
}

/** Cells of a row: the text of each, and its class. */
function cells(row, values) {
  rows(row, values.map((_, at) => at), () => make("td")).forEach((cell, at) => {
    const [text, kind = "n"] = [values[at]].flat();
    write(cell, text);
    cell.className = kind;
  });
}

const counted = (value, hot = false) => [value ? count(value) : "0", value ? hot ? "n hot" : "n" : "n zero"];

function showAttention(status, window) {
  const found = wants(status, window);
  const list = by("wants");
  const idle = !status.total.counters["sluicegate_sessions_opened_total"];
  const calm = idle ? `No client has come yet. The gate waits at ${status.listeners.flatMap(listener => listener.addresses).join(", ")}.` : "Nothing wants attention.";
  const lines = found.length ? found : [{ grade: "calm", subject: "", matter: calm }];
  const elements = rows(list, lines.map(line => `${line.grade} ${line.subject}`), key => {
    const grade = key.split(" ", 1)[0];
    const word = { bad: "Fault", warn: "Look" }[grade];
    return make("li", { class: grade }, ...(word ? [make("span", { class: "grade" }, word)] : []), make("b"), make("span"));
  });
  elements.forEach((element, at) => {
    const [subject, matter] = [...element.children].slice(-2);
    write(subject, lines[at].subject && `${lines[at].subject}: `);
    write(matter, lines[at].matter);
  });
  document.title = (found.length ? `(${found.length}) ` : "") + "sluicegate";
}

/** The figures at the top: what it is called, its points over time, its value, and a line below. */
function figures(status, window, seconds) {
  const at = status => scoped(status, view.scope);
  const rate = (family, labels) => {
    const series = seriesOf(at(status).counters, family, labels);
    return [...history.steps()].map(([before, after]) => {
      const more = series.reduce((total, key) => total + grown(at(before), at(after), key), 0);
      return { time: after.now, value: more / (after.now - before.now) };
    });
  };
  const gauge = name => history.answers.map(answer => ({
    time: answer.now, value: view.scope === "all" ? answer[name] : at(answer)[name] ?? 0,
  }));
  const now = points => points.at(-1)?.value ?? 0;
  const mean = (family, labels) => seconds ? sum(window, family, labels) / seconds : 0;
  const totals = at(status).counters;
  const flow = direction => {
    const points = rate("transfer bytes", { direction });
    return [points, scaled(now(points), "B/s"), `${number(sum(totals, "transfer bytes", { direction }), "B")} since start`];
  };
  const [sessions, transfers] = [gauge("sessions"), gauge("transfers")];
  const completed = rate("transfers", { outcome: "completed" }), logins = rate("logins", { outcome: "ok" });
  const empties = sum(totals, "empty completions");
  return [
    ["Sessions", sessions, [count(now(sessions))], `${number(mean("sessions opened"))} opened/s`],
    ["Logins", logins, scaled(now(logins), "/s"), `${count(sum(totals, "logins", { outcome: "failed" }))} failed since start`],
    ["Transfers running", transfers, [count(now(transfers))], `${number(mean("transfers"))} ended/s`],
    ["Transfers completed", completed, scaled(now(completed), "/s"), `${count(sum(totals, "transfers", { outcome: "completed" }))} since start`],
    ["To clients", ...flow("download")],
    ["To backends", ...flow("upload")],
    ["Empty, completed", rate("empty completions"), [count(empties)], `${count(sum(window, "empty completions"))} in the last minute`],
  ];
}

function showFigures(status, window, seconds) {
  const shown = figures(status, window, seconds);
  const elements = rows(by("figures"), shown.map(([name]) => name), name => make("div", {},
    make("dt", {}, name), make("dd", { class: "value" }, make("span"), " ", make("small")), make("dd", { class: "more" }), make("canvas", { "aria-hidden": "true" })));
  elements.forEach((element, at) => {
    const [, points, [value, unit = ""], more] = shown[at];
    write(element.querySelector(".value span"), value);
    write(element.querySelector("small"), unit);
    write(element.querySelector(".more"), more);
    drawLine(element.querySelector("canvas"), points, SPAN, status.now);
  });
}

/** The octaves that anything has fallen into, of all phases, with room for a name at both ends. */
function range(status) {
  const used = Object.values(status.total.phases).flatMap(phase => phase.octaves.flatMap((inside, octave) => inside ? [octave] : []));
  return { low: Math.max(0, Math.min(6, ...used) - 1), high: Math.max(20, ...used.map(octave => octave + 1)) + 1 };
}

function showLatency(status, first, seconds) {
  const whole = view.span === "start";
  const phases = Object.keys(status.total.phases);
  if (!phases.includes(view.phase)) view.phase = phases.find(phase => parse(phase).family === "transfer") ?? phases[0];
  const octaves = (scope, phase) => whole ? scoped(status, scope).phases[phase].octaves : octavesBetween(scoped(first, scope), scoped(status, scope), phase);
  const lanesOf = view.scope === "all" ? status.cores.map(core => String(core.cpu)) : [view.scope];
  const reach = range(status);
  write(by("rate-head"), whole ? "times" : "per second");
  drawAxis(by("axis"), reach);
  const elements = rows(by("phases").tBodies[0], phases, phase => {
    const button = make("button", { type: "button" }, title(phase));
    button.addEventListener("click", () => { view.phase = phase; show(); });
    return make("tr", {}, make("th", { scope: "row" }, button), make("td", { class: "spread" }, make("canvas", { "aria-hidden": "true" })),
      ...Array.from({ length: 5 }, () => make("td", { class: "n" })));
  });
  elements.forEach((row, at) => {
    const phase = phases[at], times = scoped(status, view.scope).phases[phase], inside = octaves(view.scope, phase);
    const total = inside.reduce((sum, more) => sum + more, 0);
    const marks = whole ? times.count ? times : {} : { p50: percentile(inside, 0.5), p90: percentile(inside, 0.9), p99: percentile(inside, 0.99) };
    row.querySelector("button").setAttribute("aria-pressed", phase === view.phase);
    drawSpread(row.querySelector("canvas"), lanesOf.map(scope => octaves(scope, phase)), reach, marks);
    const highest = whole ? times.count ? times.max : null : total ? 2 ** inside.length : null;
    const bound = !whole && highest != null ? `≤ ${duration(Math.min(highest, times.max))}` : duration(highest);
    const texts = [whole ? count(total) : number(seconds ? total / seconds : 0), duration(marks.p50), duration(marks.p90), duration(marks.p99), bound];
    [...row.querySelectorAll("td.n")].forEach((cell, at) => { write(cell, texts[at]); cell.classList.toggle("zero", !total); });
  });
  showMap(status, reach);
}

function showMap(status, reach) {
  const columns = [...history.steps()].map(([before, after]) => ({
    from: before.now, to: after.now, octaves: octavesBetween(scoped(before, view.scope), scoped(after, view.scope), view.phase),
  })).filter(column => column.to > status.now - SPAN);
  const where = view.scope === "all" ? "all cores" : `CPU ${view.scope}`;
  write(by("map-title"), `${title(view.phase)}, ${where}, the last two minutes`);
  const seen = columns.flatMap(column => column.octaves).reduce((sum, more) => sum + more, 0);
  by("map").setAttribute("aria-label", `${title(view.phase)} over the last two minutes, ${where}: ${many(seen, "time")}. The percentiles stand in the table.`);
  view.find = drawMap(by("map"), columns, reach, SPAN, status.now);
  if (!by("map").matches(":hover")) write(by("map-readout"), seen ? "" : "nothing in these two minutes");
}

function pointAt(event) {
  const found = view.find?.(event.offsetX, event.offsetY);
  if (!found) return write(by("map-readout"), "");
  const { column, octave } = found;
  const clock = new Date(column.to * 1000).toTimeString().slice(0, 8);
  write(by("map-readout"), `${clock} · ${duration(2 ** octave)} to ${duration(2 ** (octave + 1))} · ${count(column.octaves[octave] ?? 0)}`);
}

function showBackends(status) {
  const pools = rows(by("backends"), status.backends.map(pool => pool.pool), name => make("div", { class: "pool" }, make("h3", {}, name), make("ul")));
  pools.forEach((element, at) => {
    const { members } = status.backends[at];
    const items = rows(element.querySelector("ul"), members.map(member => member.address), address =>
      make("li", {}, make("i", { "aria-hidden": "true" }), make("span", { class: "address" }, address), make("span", { class: "how" })));
    items.forEach((item, at) => {
      const { resting_on: resting, cores, last_failure: failure } = members[at];
      item.className = !resting ? "" : resting < cores ? "warn" : "bad";
      write(item.lastElementChild, !resting ? "not resting" : `rests on ${resting} of ${many(cores, "core")}: ${failure.reason}`);
    });
  });
}

function showListeners(status) {
  const elements = rows(by("listeners"), status.listeners.map(listener => listener.name), name => make("div", { class: "listener" },
    make("h3", {}, name), make("div", { class: "row" }, make("span", { class: "address hint" }), make("span")), make("meter", { min: 0, "aria-label": `Passive ports of ${name} in use` })));
  elements.forEach((element, at) => {
    const { addresses, pool, passive_ports: ports, passive_ports_in_use: used } = status.listeners[at];
    const [address, use] = element.querySelectorAll(".row span"), meter = element.querySelector("meter");
    write(address, `${addresses.join(", ")} → ${pool}`);
    write(use, `${count(used)} of ${many(ports, "port")} in use`);
    Object.assign(meter, { max: ports || 1, high: ports * 0.95, low: ports * 0.8, optimum: 0, value: used });
  });
}

function showCores(status) {
  const before = history.answers.at(-2) ?? status, seconds = status.now - before.now || 1;
  rows(by("cores").tBodies[0], status.cores.map(core => core.cpu), () => make("tr")).forEach((row, at) => {
    const core = status.cores[at], more = difference(before.cores[at] ?? core, core);
    cells(row, [[core.answered ? String(core.cpu) : `${core.cpu}, silent`, core.answered ? "" : "hot"], count(core.sessions), count(core.transfers),
      number(sum(more, "transfers") / seconds), number(sum(more, "transfer bytes") / seconds, "B")]);
  });
}

/** A table of counts: a row for each name; for each group two columns, in the last minute and since the start. */
function tally(parent, corner, groups, lines) {
  const [table] = rows(parent, [groups.join()], () => {
    const heads = groups.flatMap(group => ["last minute", "since start"].map(span => make("th", { scope: "col", class: "n" }, group ? make("b", {}, group) : "", group ? make("br") : "", span)));
    return make("table", {}, make("thead", {}, make("tr", {}, make("th", { scope: "col" }), ...heads)), make("tbody"));
  });
  write(table.querySelector("th"), corner);
  rows(table.tBodies[0], lines.map(line => line.name), () => make("tr")).forEach((row, at) => cells(row, [[lines[at].name, ""], ...lines[at].cells]));
}

function showCounters(status, window) {
  const totals = scoped(status, view.scope).counters;
  const all = Object.keys(totals), family = series => parse(series).family;
  const both = (series, hot) => [counted(window[series] ?? 0, hot), counted(totals[series] ?? 0)];
  const where = view.scope === "all" ? "all cores" : `CPU ${view.scope}`;
  /** A family as a table: `down` is the label of its rows, `across` that of its groups of columns. */
  const pivot = (parent, name, down, across, whole, hot) => {
    const known = all.filter(series => family(series) === name).map(series => ({ series, ...parse(series).labels }));
    const groups = [...new Set(known.map(one => one[across]))];
    const lines = [...new Set(known.map(one => one[down]))].filter(line => whole || known.some(one => one[down] === line && totals[one.series]));
    tally(parent, where, groups.map(group => `${group}s`), lines.sort((one, other) => (other === "completed") - (one === "completed")).map(line => ({
      name: line.replaceAll("_", " "),
      cells: groups.flatMap(group => both(known.find(one => one[across] === group && one[down] === line)?.series, hot.test(line))),
    })));
    return lines.length;
  };
  pivot(by("ends"), "transfers", "outcome", "direction", true, /broken|unestablished/);
  by("legs").parentElement.hidden = !pivot(by("legs"), "data ends", "end", "leg", false, /timeout|failed/);
  // What has never happened on this gate stands in the list of everything.
  const notable = all.filter(series => totals[series] && /empt|unfinished|refused|exhausted|panicked|reject|drop/.test(family(series)));
  tally(by("repaired"), notable.length ? where : "Nothing yet.", [""], notable.map(series => ({ name: title(series), cells: both(series, /exhausted|panicked|drop/.test(series)) })));
  if (by("everything").open) {
    const body = by("everything").querySelector("tbody");
    rows(body, all, () => make("tr")).forEach((row, at) => cells(row, [[title(all[at]), ""], counted(window[all[at]]), counted(totals[all[at]])]));
  }
}

async function showSessions() {
  const body = by("sessions").querySelector("tbody");
  if (!by("sessions").open) return;
  const listed = await ask(`/sessions?most=${SESSIONS_SHOWN}`);
  rows(body, listed.map(session => session.id), () => make("tr")).forEach((row, at) => {
    const { id, client, user, backend, phase, transfer, stream, age_seconds: old } = listed[at];
    cells(row, [String(id), [client, ""], [user ?? "–", ""], [backend ?? "–", ""], [transfer ? `${transfer.direction}, ${age(transfer.age_seconds)}` : phase, ""], transfer ? number(transfer.bytes, "B") : stream ? number(stream.sent + stream.received, "B") : "–", age(old)]);
  });
  const sessions = history.last.sessions;
  write(by("sessions-more"), !sessions ? "No session lives." : sessions > listed.length ? `${count(sessions - listed.length)} more; /sessions turns pages.` : "");
}

function showLink() {
  const status = history.last;
  const state = view.lost ? "lost" : view.paused ? "paused" : !status ? "waiting" : "live";
  document.body.dataset.state = state;
  const clock = time => new Date(time).toTimeString().slice(0, 8);
  const told = status && clock(status.now * 1000);
  write(by("link-text"), { live: "live", paused: `paused at ${told}`, waiting: "connecting", lost: `no answer since ${clock(view.lost)}${told ? `; shown as of ${told}` : ""}: ${view.why}` }[state]);
  write(by("pause"), view.paused ? "Go on" : "Pause");
  by("pause").setAttribute("aria-pressed", view.paused);
}

function show() {
  showLink();
  const status = history.last;
  if (!status) return;
  const { first, seconds } = history.window;
  const window = difference(scoped(first, view.scope), scoped(status, view.scope));
  write(by("about"), `${status.version} · up ${age(status.now - status.started)}`);
  const options = ["all", ...status.cores.map(core => String(core.cpu))];
  rows(by("scope"), options, scope => make("option", { value: scope }, scope === "all" ? "all" : `CPU ${scope}`));
  // Whichever core is looked at, what wants attention is asked of all.
  showAttention(status, difference(first.total, status.total));
  showFigures(status, window, seconds);
  showLatency(status, first, seconds);
  showBackends(status);
  showListeners(status);
  showCores(status);
  showCounters(status, window);
}

async function ask(path) {
  const token = sessionStorage.getItem("token");
  const headers = token ? { Authorization: `Bearer ${token}` } : {};
  const answer = await fetch(path, { headers, cache: "no-store", signal: AbortSignal.timeout(PATIENCE) });
  by("ask").hidden = answer.status !== 401;
  if (!answer.ok) throw new Error(`${path} answers ${answer.status}`);
  return answer.json();
}

let timer = null;
async function turn() {
  clearTimeout(timer);
  timer = 0;
  const begun = performance.now();
  try {
    history.add(await ask("/status"));
    view.lost = null;
    if (!view.paused) await showSessions();
  } catch (error) {
    view.lost ??= Date.now();
    view.why = error.name === "TimeoutError" ? "it takes too long" : error instanceof TypeError ? "it cannot be reached" : error.message;
  }
  // Paused meanwhile, the page stays as it is.
  if (!view.paused) show();
  again(PERIOD - (performance.now() - begun));
}

/** Asks again later, unless nobody looks: whoever comes back is served at once, and the time between becomes one step. */
function again(wait) {
  clearTimeout(timer);
  timer = view.paused || document.hidden ? null : setTimeout(turn, Math.max(100, wait));
}

// A turn under way has timer 0 and begins the next one itself.
const resume = () => { if (timer === null) again(0); };
by("pause").addEventListener("click", () => { view.paused = !view.paused; showLink(); resume(); });
by("scope").addEventListener("change", event => { view.scope = event.target.value; show(); });
for (const span of ["window", "start"]) by(`span-${span}`).addEventListener("click", () => {
  view.span = span;
  for (const other of ["window", "start"]) by(`span-${other}`).setAttribute("aria-pressed", other === span);
  show();
});
by("ask").addEventListener("submit", event => {
  event.preventDefault();
  sessionStorage.setItem("token", by("token").value);
  by("token").value = "";
  if (timer !== 0) turn();
});
for (const id of ["sessions", "everything"]) by(id).addEventListener("toggle", () => { show(); if (id === "sessions" && by(id).open) showSessions().catch(() => {}); });
by("map").addEventListener("pointermove", pointAt);
by("map").addEventListener("pointerleave", () => write(by("map-readout"), ""));
document.addEventListener("visibilitychange", resume);
addEventListener("resize", show);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { readInk(); show(); });
readInk();
turn();
