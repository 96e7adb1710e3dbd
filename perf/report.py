"""From figures to a page: medians, spread, ratios to the floor and to the best peer, and latency spectra as SVG."""

import math
import statistics

import targets

UNIT_OF = {"cpu_us_per_unit": "us of CPU", "cpu_seconds_per_gigabyte": "s of CPU per GB", "kib_per_session": "KiB"}
COLOURS = {"sluicegate": "#1f6f4a", "mod_proxy": "#b5482a", "haproxy": "#2d5fa3", "nginx": "#7b4fa0", "direct": "#777777",
           "sluicegate, busy": "#6fbf9a", "haproxy, busy": "#8fb5e0"}
SUBJECTS = ["sluicegate", "mod_proxy", "haproxy", "nginx"]


def page(result, spectra):
    """The whole page, as Markdown."""
    lines = [f"# Measured on {result['facts']['date']}", ""]
    lines += [f"- {name}: {value}" for name, value in result["facts"].items()]
    lines += [f"- {result['rounds']} rounds, interleaved, {result['seconds']} s each: medians, and behind ± the larger "
              "distance of a round from it; CPU time is the kernel's accounting of the proxy and its children", ""]
    lines += aims(result)
    if result["units"]:
        lines += costs(result)
    lines += scaling(result)
    lines += growth(result)
    lines += latencies(result, spectra)
    if result["floors"]:
        waiting = [run["time_wait"] for entry in result["units"] for run in entry["runs"] if "time_wait" in run]
        lines += ["## Floors", "", "What the primitives cost alone, just before each unit of ours (`benches/floors.rs`). Connections in "
                  f"TIME_WAIT where a unit began: {min(waiting)} to {max(waiting)}.", "",
                  "| primitive | median | spread |", "| --- | --- | --- |"]
    for name in dict.fromkeys(name for floor in result["floors"] for name in floor):
        values = [floor[name] for floor in result["floors"] if name in floor]
        lines.append(f"| {name} | {number(statistics.median(values))} | ±{spread(values):.0f} % |")
    lines.append("")
    for title, found in (("What was noted", result["notes"]), ("What failed", result["failures"])):
        if found:
            lines += [f"## {title}", "", *[f"- {line}" for line in found], ""]
    lines += ["## Configurations", ""]
    for name, text in result["configs"].items():
        lines += [f"<details><summary>{name}</summary>", "", "```text", text.rstrip(), "```", "", "</details>", ""]
    return "\n".join(lines)


def aims(result):
    """Whether what is to be reached was."""
    rows = targets.verdicts(result)
    if not rows:
        return []
    met, missed, absent = (sum(verdict == wanted for *_, verdict in rows) for wanted in ("met", "not met", targets.NOT_MEASURED))
    lines = ["## Targets", "", f"{met} of {len(rows)} are met in this run (`perf/targets.py`), {missed} are not met, "
             f"{absent} are not measured, and {len(rows) - met - missed - absent} are undecided: their rounds lie on both sides, or are "
             "too few. Where nothing else is said, a figure is a multiple of what its target names.", "",
             "| what | measured | rounds | target | |", "| --- | --- | --- | --- | --- |"]
    for name, median, values, words, verdict in rows:
        rounds = f"{number(min(values))} to {number(max(values))}" if len(values) > 1 else "one" if values else "none"
        lines.append(f"| {name} | {number(median)} | {rounds} | {words} | {verdict.replace('not met', '**not met**')} |")
    return lines + [""]


def scaling(result):
    """What must not grow: every case with its spread."""
    if not result.get("scale"):
        return []
    lines = ["## With cores, sessions and neighbours", "", "| what | case | median | spread |", "| --- | --- | --- | --- |"]
    for record in result["scale"]:
        for case, values in record["cases"].items():
            values = [value for value in values if value is not None]
            if values:
                lines.append(f"| {record['name']} | {case} | {number(statistics.median(values))} {record['unit']} | "
                             f"±{spread(values):.0f} % |")
        if record.get("claim"):
            values = record["claim"]
            lines.append(f"| | **{record['claim_unit']}** | {number(statistics.median(values))} | ±{spread(values):.0f} % |")
    return lines + [""]


def costs(result):
    lines = ["## Cost", "", "| unit | floor | " + " | ".join(SUBJECTS) + " | ours / floor | ours / best peer |",
             "| --- " * (len(SUBJECTS) + 4) + "|"]
    for unit, metric in units(result, lambda metric: metric != "latency"):
        cells = {}
        for subject in SUBJECTS:
            values = values_of(result, unit, subject, metric)
            if values:
                cells[subject] = (statistics.median(values), spread(values))
        floor = [run["floor"] for run in runs_of(result, unit, "sluicegate") if "floor" in run]
        row = [f"{unit} ({UNIT_OF[metric]})", number(statistics.median(floor) if floor else None)]
        row += [f"{number(cells[name][0])} ±{cells[name][1]:.0f} %" if name in cells else "-" for name in SUBJECTS]
        row += [ratio(targets.beside_floor(result, unit)), ratio(targets.beside_best(result, unit))]
        lines.append("| " + " | ".join(row) + " |")
    lines.append("")
    for unit, _ in units(result, lambda metric: metric != "latency"):
        floors = targets.floors(result, unit)
        below = [who for _, who in floors.values() if who != "floor"]
        if below:
            lines.append(f"- {unit}: {', '.join(sorted(set(below)))} took less than the floor in {len(below)} of {len(floors)} rounds; "
                         "that is the floor of those rounds here.")
    return lines + [""]


def growth(result):
    """Memory that came with each transfer, where there were some."""
    lines = []
    for found in result["units"]:
        if not found["unit"].startswith("empty RETR"):
            continue
        bytes_each = [(run["memory_bytes"][2] - run["memory_bytes"][1]) / run["units"] for run in found["runs"]]
        lines.append(f"- {found['unit']}, {found['subject']}: {statistics.median(bytes_each):.0f} bytes per transfer "
                     f"({sum(run['units'] for run in found['runs'])} transfers)")
    return ["## Growth", "", *lines, ""] if lines else []


def latencies(result, spectra):
    found = targets.latency_units(result)
    if not found:
        return []
    lines = ["## Latency", "", "At a fixed rate, from when a unit should have begun; microseconds, of all turns of all rounds together, "
             "and behind it the least and the greatest of a round. What is busy looks for news instead of sleeping.", "",
             "| unit | through | units | p50 | p90 | p99 | p99.9 | max |", "| --- " * 8 + "|"]
    for unit, subjects in found.items():
        for subject, entry in subjects.items():
            cells = []
            for key in ("p50_us", "p90_us", "p99_us", "p999_us", "max_us"):
                of_rounds = [run[key] for run in entry["runs"]]
                span = f" ({number(min(of_rounds))} to {number(max(of_rounds))})" if len(of_rounds) > 1 else ""
                cells.append(number(entry["merged"][key]) + span)
            lines.append(f"| {unit} | {subject} | {entry['merged']['samples']:,} | " + " | ".join(cells) + " |")
    return [*lines, "", *[f"![{unit}]({file})" for unit, file in spectra], ""]


def units(result, wanted):
    """Names of units and their metric, in order, each once."""
    found = {}
    for entry in result["units"]:
        if wanted(entry["metric"]):
            found.setdefault(entry["unit"], entry["metric"])
    return list(found.items())


def runs_of(result, unit, subject):
    return [run for entry in result["units"] if (entry["unit"], entry["subject"]) == (unit, subject) for run in entry["runs"]]


def values_of(result, unit, subject, metric):
    return [run[metric] for run in runs_of(result, unit, subject) if run.get(metric) is not None]


def spread(values):
    median = statistics.median(values)
    return 100 * max(abs(value - median) for value in values) / median if median else 0


def ratio(of_rounds):
    return f"{statistics.median(of_rounds):.2f}" if of_rounds else "-"


def number(value):
    if value is None:
        return "-"
    return f"{value:.3f}" if abs(value) < 10 else f"{value:.1f}" if abs(value) < 1000 else f"{value:.0f}"


def write_spectra(result, folder, name):
    """One picture for each unit of latency; gives the units and the files."""
    written = []
    for unit, subjects in targets.latency_units(result).items():
        curves = {subject: entry["merged"]["spectrum"] for subject, entry in subjects.items()}
        file = f"{name}-{'-'.join(unit.replace(',', '').replace('.', '').lower().split())}.svg"
        (folder / file).write_text(spectrum_svg(unit, curves), encoding="utf-8")
        written.append((unit, file))
    return written


def spectrum_svg(title, curves):
    """Latency against percentile, both on logarithmic axes: the tail is as wide as the bulk."""
    width, height, left, top, right, bottom = 780, 420, 70, 40, 140, 50
    points = {name: [(1 / max(1 - quantile, 1e-5), max(micros, 1)) for quantile, micros in curve if quantile < 1]
              for name, curve in curves.items()}
    everything = [point for curve in points.values() for point in curve]
    low = 10 ** math.floor(math.log10(min(micros for _, micros in everything)))
    high = 10 ** math.ceil(math.log10(max(micros for _, micros in everything) * 1.001))
    far = max(100, max(x for x, _ in everything))

    def at(x, micros):
        across = left + (width - left - right) * math.log(x) / math.log(far)
        down = top + (height - top - bottom) * (1 - math.log(micros / low) / math.log(high / low))
        return f"{across:.1f},{down:.1f}"

    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" font-family="sans-serif" font-size="12">',
             f'<rect width="{width}" height="{height}" fill="white"/>',
             f'<text x="{left}" y="22" font-size="15">{title}</text>']
    step = low
    while step <= high:
        x, y = at(1, step).split(",")
        parts.append(f'<line x1="{left}" x2="{width - right}" y1="{y}" y2="{y}" stroke="#ddd"/>'
                     f'<text x="{left - 8}" y="{float(y) + 4:.1f}" text-anchor="end">{step:g} us</text>')
        step *= 10
    for label, x in (("0 %", 1), ("50 %", 2), ("90 %", 10), ("99 %", 100), ("99.9 %", 1000), ("99.99 %", 10000)):
        if x <= far:
            across = at(x, low).split(",")[0]
            parts.append(f'<line x1="{across}" x2="{across}" y1="{top}" y2="{height - bottom}" stroke="#ddd"/>'
                         f'<text x="{across}" y="{height - bottom + 18}" text-anchor="middle">{label}</text>')
    for row, (name, curve) in enumerate(points.items()):
        colour = COLOURS.get(name, "black")
        path = " ".join(at(x, micros) for x, micros in curve)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>'
                     f'<text x="{width - right + 10}" y="{top + 18 * row + 12}" fill="{colour}">{name}</text>')
    return "\n".join([*parts, "</svg>"]) + "\n"
