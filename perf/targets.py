"""What is to be reached, all in one place, and whether a run has: the first table of its page."""

import statistics

# Units of measure.py: against what, and at most how much. "floor": the sum of primitives that stands beside the unit, or
# whoever took less in the same round; "peer": the best of them in the same run; another unit's name: ours of it; "itself": the figure as it is.
UNITS = {
    "empty RETR, TLS 1.3": ("floor", 1.3),
    "empty RETR, TLS 1.2": ("floor", 1.4),
    "4 KiB RETR, TLS 1.3": ("empty RETR, TLS 1.3", 1.1),
    "4 KiB RETR, TLS 1.2": ("empty RETR, TLS 1.2", 1.1),
    "login and QUIT, TLS 1.3": ("floor", 1.4),
    "NOOP, TLS 1.3": ("floor", 2.0),
    "GB by RETR, PROT P": ("floor", 1.25),
    "GB by STOR, PROT P": ("floor", 1.25),
    "GB by RETR, PROT C": ("floor", 1.05),
    "GB of a stream, plain": ("floor", 1.05),
    "GB of a stream, TLS": ("floor", 1.25),
    "stream connection, TLS, full handshakes": ("floor", 1.3),
    "stream connection, plain": ("peer", 1.1),
    "memory of an idle session, TLS 1.3": ("itself", 16.0),
}
PEERS = ("mod_proxy", "haproxy", "nginx")
# Latency: ours by the best peer's, at each of these; none is judged by fewer samples beyond it.
PERCENTILES = {"p50_us": ("p50", 0.5), "p99_us": ("p99", 0.99), "p999_us": ("p99.9", 0.999)}
SAMPLES_BEYOND_MIN = 20
NOT_MEASURED = "not measured"
BUSY = ", busy"
# Bytes for each transfer of a session: none. A page more or less in a round of a thousand is no growth.
GROWTH_BYTES = 4
# Records of scale.py by their target: the words, whether it is a least or a most, and how much.
SCALE = {
    "cores: work": ("at least 1.9 times", "least", 1.9),
    "cores: cost": ("the same, to 5 %", "most", 1.05),
    "sessions: cost": ("at most 15 % more", "most", 1.15),
    "idle: held": ("all of them", "least", 1.0),
    "idle: memory": ("at most 16 KiB", "most", 16.0),
    "idle: transfers": ("as without, to 10 %", "most", 1.10),
    "uploads": ("all of them", "least", 1.0),
    # A NOOP goes through the gate twice, and may find it in the middle of a turn each time.
    "neighbours": ("at most the time of two MiB", "most", 2.0),
}


def verdicts(result):
    """A row for each target: what, the figure, its spread, the target, and whether it is met."""
    rows = []
    ours_of = {unit: statistics.median(values) for unit, values in costs(result, "sluicegate").items()}
    for unit, (base, limit) in UNITS.items():
        values = costs(result, "sluicegate").get(unit)
        if not values:
            continue
        if base in ("floor", "peer"):
            ratios = beside_floor(result, unit) if base == "floor" else beside_best(result, unit)
        else:
            other = 1.0 if base == "itself" else ours_of.get(base)
            ratios = [value / other for value in values] if other else []
        words = {"floor": f"at most {limit:g} x floor", "itself": f"at most {limit:g} KiB",
                 "peer": f"at most {limit:g} x the best peer"}.get(base, f"at most {limit:g} x {base}")
        if ratios:
            rows.append(row(unit, ratios, words, lambda value, limit=limit: value <= limit))
    for entry in result["units"]:
        if entry["subject"] == "sluicegate" and entry["unit"].startswith("empty RETR") and entry["runs"]:
            grown = [(run["memory_bytes"][2] - run["memory_bytes"][1]) / run["units"] for run in entry["runs"]]
            rows.append(row(f"growth for each transfer, {entry['unit']}, bytes", grown, f"0, to {GROWTH_BYTES}",
                            lambda value: value <= GROWTH_BYTES))
    rows += latencies(result)
    for record in result.get("scale", []):
        words, sense, limit = SCALE.get(record.get("target"), (None, None, None))
        if words and not record.get("claim"):
            rows.append((record["name"], None, [], words, NOT_MEASURED))
        elif words:
            rows.append(row(f"{record['name']} ({record['claim_unit']})", record["claim"], words,
                            lambda value, sense=sense, limit=limit: value >= limit if sense == "least" else value <= limit))
    found = {record.get("target") for record in result.get("scale", [])}
    rows += [(target, None, [], SCALE[target][0], NOT_MEASURED) for target in SCALE
             if target not in found and target.split(":")[0] in result.get("scale_parts", [])]
    return rows


def row(name, values, words, is_met, figure=None):
    """Its figure is the median of its rounds, where nothing else is said. Where rounds lie on both sides of the limit, nothing is
    decided."""
    figure = statistics.median(values) if figure is None else figure
    verdict = "met" if is_met(figure) else "not met"
    if any(is_met(value) != is_met(figure) for value in values):
        verdict = f"undecided, {verdict} {'by the median' if len(values) > 1 else ''}".strip()
    return name, figure, values, words, verdict


def costs(result, subject):
    """All rounds of the units that have a cost."""
    return {entry["unit"]: [run[entry["metric"]] for run in entry["runs"] if run.get(entry["metric"]) is not None]
            for entry in result["units"] if entry["subject"] == subject and entry["metric"] != "latency"}


def beside_floor(result, unit):
    """Ours by the floor of the same round, round by round."""
    ours = by_round(result, unit).get("sluicegate", {})
    return [ours[at] / floor for at, (floor, _) in floors(result, unit).items()]


def floors(result, unit):
    """The floor of each round, and whose it is: no more than anybody has taken in the same round."""
    found = {}
    subjects = by_round(result, unit)
    for entry in result["units"]:
        if (entry["unit"], entry["subject"]) == (unit, "sluicegate"):
            for run in entry["runs"]:
                if run.get("floor"):
                    at = run.get("round", 0)
                    peers = [(subjects[name][at], name) for name in PEERS if at in subjects.get(name, {})]
                    found[at] = min([(run["floor"], "floor"), *peers])
    return found


def beside_best(result, unit):
    """Ours by the same round's figure of the peer that is the best by its median."""
    subjects = by_round(result, unit)
    peers = [subjects[name] for name in PEERS if subjects.get(name)]
    best = min(peers, key=lambda rounds: statistics.median(rounds.values()), default={})
    return [value / best[at] for at, value in subjects.get("sluicegate", {}).items() if at in best]


def by_round(result, unit):
    """By subject and round what the unit cost."""
    return {entry["subject"]: {run.get("round", 0): run[entry["metric"]] for run in entry["runs"] if run.get(entry["metric"])}
            for entry in result["units"] if entry["unit"] == unit}


def latencies(result):
    """Ours by the best peer's, of all turns together; those that are busy apart from those that sleep."""
    rows = []
    for unit, subjects in latency_units(result).items():
        for kind in ("", BUSY):
            ours = subjects.get("sluicegate" + kind)
            peers = [subjects[name + kind] for name in PEERS if name + kind in subjects]
            if not ours or not peers:
                continue
            for key, (words, quantile) in PERCENTILES.items():
                ratio = ours["merged"][key] / min(peer["merged"][key] for peer in peers)
                of_rounds = [run[key] / min(theirs) for run in ours["runs"]
                             if (theirs := [one[key] for peer in peers for one in peer["runs"] if one["round"] == run["round"]])]
                name, *found, verdict = row(f"{unit}{kind}, {words}", of_rounds, "less than each peer's", lambda value: value < 1, ratio)
                fewest = min(one["merged"]["samples"] for one in (ours, *peers)) * (1 - quantile)
                if fewest < SAMPLES_BEYOND_MIN:
                    verdict = f"undecided, {fewest:.0f} samples beyond it"
                rows.append((name, *found, verdict.replace("by the median", "by all together")))
    return rows


def latency_units(result):
    """By unit and subject what stands in its entry."""
    found = {}
    for entry in result["units"]:
        if entry["metric"] == "latency":
            found.setdefault(entry["unit"], {})[entry["subject"]] = entry
    return found
