"""Latency at a fixed rate: many short turns of everybody in turns, and percentiles of all of them together.

A percentile of one run of some seconds says what the machine did in these seconds. So everybody has many turns of a second in
each round, one behind the other, and what they took is added up before anything is read off it.
"""

import collections
import contextlib
import os
import pathlib
import signal
import time

import drive
import peers

# Every unit: its name, who is measured, and the scenario and flags of `sluicegate load`.
UNITS = [
    ("latency of NOOP, TLS 1.3", "ftp", "1.3", ["noop", "--concurrency", "8", "--rate", "1000"]),
    ("latency of 64 bytes, TLS stream", "stream", "echo-tls", ["stream-echo", "--concurrency", "8", "--rate", "1000"]),
]
PERCENTILES = {"p50_us": 0.5, "p90_us": 0.9, "p99_us": 0.99, "p999_us": 0.999}
# Proxies that look for news instead of sleeping, beside the same ones that sleep: compared with each other only.
BUSY = ", busy"
TURN_SECONDS = 1.0
PRIORITY = 10


def run(arguments, setting, subjects, running, result):
    """All units through everybody who can do them; gives an entry for each."""
    units = [unit for unit in UNITS if arguments.only in unit[0]]
    if not units:
        return
    subjects = {**subjects, **busy(arguments, setting, running, result)}
    counts = collections.defaultdict(list)
    pids = [process.pid for process in running if not process.name.endswith("-busy")]
    with Calm(pids, result["notes"]) as calm:
        for number in range(arguments.rounds):
            if drive.is_late(arguments, result, f"latency, from round {number + 1}", share=2 / 3):
                break
            for unit, kind, key, flags in units:
                drive.say(f"round {number + 1} of {arguments.rounds}: {unit}, {arguments.turns} turns")
                names = [name for name, subject in subjects.items() if key in subject["ports"]]
                of_round = collections.defaultdict(collections.Counter)
                for turn in range(arguments.turns):
                    for name in names if turn % 2 == 0 else reversed(names):
                        with awake(subjects[name].get("busy")):
                            figures = drive.load(arguments, setting, flags, subjects[name]["ports"][key], kind, key, None,
                                                 TURN_SECONDS, before=calm.before, with_counts=True, warmup=0.2)
                        if figures and figures["good"]:
                            of_round[name].update(dict(figures["unit_counts"]))
                        else:
                            result["failures"].append(f"{unit}, {name}: {(figures or {}).get('failures') or 'it gave no figures'}")
                for name, found in of_round.items():
                    counts[unit, name].append((number, found))
    for unit, _, _, flags in units:
        for name in subjects:
            if rounds := counts[unit, name]:
                whole = sum((found for _, found in rounds), collections.Counter())
                result["units"].append({
                    "unit": unit, "subject": name, "scenario": " ".join(flags), "metric": "latency", "has_floor": False,
                    "runs": [{"round": number, **percentiles(found)} for number, found in rounds],
                    "merged": {**percentiles(whole), "spectrum": spectrum(whole)}})
    for process in [process for process in running if process.name.endswith("-busy")]:
        os.kill(process.pid, signal.SIGCONT)
        process.stop()
        running.remove(process)


def busy(arguments, setting, running, result):
    """A gate and a HAProxy that look for news; they are stopped but for their turns."""
    found = {}
    for name, make in (("sluicegate", peers.sluicegate), ("haproxy", peers.haproxy)):
        if name in arguments.without:
            continue
        try:
            process, ports, file = make(setting, f"{name}-busy", busy=True)
        except peers.Broken as why:
            result["notes"].append(f"{name}{BUSY}: left out: {why}")
            continue
        running.append(process)
        os.kill(process.pid, signal.SIGSTOP)
        result["configs"][file.name] = drive.without_folder(file, setting.work)
        found[name + BUSY] = {"ports": ports, "busy": process.pid}
    return found


class Calm(contextlib.AbstractContextManager):
    """Everybody who is measured goes before all others on the CPUs.

    Nothing keeps these from halting meanwhile, as idle=poll would: a program of the policy SCHED_IDLE on each took a third off every
    median, and made the kernel (6.18) hold up everybody for 20 to 40 ms every few seconds, in favour of that program.
    """

    def __init__(self, pids, notes):
        self.notes = notes
        self.pids = [one for pid in pids for one in family(pid)]
        self.before, self.raised = [], []
        self.began, self.stolen = time.monotonic(), stolen()

    def __enter__(self):
        if os.sched_getscheduler(0) == os.SCHED_FIFO:
            self.notes.append("latency: measured before all others on the CPUs, as perf/run itself was started (SCHED_FIFO)")
        else:
            try:
                self.raise_all()
                self.before = ["chrt", "--fifo", str(PRIORITY)]
                self.notes.append("latency: measured before all others on the CPUs (SCHED_FIFO); what is busy is not, since the kernel "
                                  "takes 50 ms of each second from a real-time process that never sleeps")
            except PermissionError as why:
                self.notes.append(f"latency: measured beside all others on the CPUs: {why}")
        return self

    def __exit__(self, *_):
        span = time.monotonic() - self.began
        self.notes.append(f"latency: the machine below took {stolen() - self.stolen:.2f} s of CPU away in {span:.0f} s (steal)")
        for task in self.raised:
            # One that has ended needs nothing any more.
            with contextlib.suppress(ProcessLookupError):
                os.sched_setscheduler(task, os.SCHED_OTHER, os.sched_param(0))

    def raise_all(self):
        for pid in self.pids:
            for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
                os.sched_setscheduler(int(task.name), os.SCHED_FIFO, os.sched_param(PRIORITY))
                self.raised.append(int(task.name))


@contextlib.contextmanager
def awake(pid):
    """A turn of a process that is stopped but for its turns."""
    if not pid:
        yield
        return
    os.kill(pid, signal.SIGCONT)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGSTOP)


def stolen():
    """Seconds of all CPUs in which the machine below ran something else (proc(5))."""
    return int(pathlib.Path("/proc/stat").read_text(encoding="utf-8").split()[8]) / os.sysconf("SC_CLK_TCK")


def family(pid):
    """A process and its children; theirs come with each session and go with it."""
    children = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="utf-8").split()
    return [pid, *map(int, children)]


def percentiles(counts):
    """How many there are, and what so many of them did not exceed."""
    total, ordered = sum(counts.values()), sorted(counts.items())
    found = {"samples": total, "max_us": ordered[-1][0]}
    for name, quantile in PERCENTILES.items():
        found[name] = at(ordered, quantile * total)
    return found


def spectrum(counts):
    """Points of a curve: five for each halving of what is above."""
    total, ordered = sum(counts.values()), sorted(counts.items())
    points, left = [], 1.0
    while left * total >= 1:
        points.append([1 - left, at(ordered, (1 - left) * total)])
        left *= 0.5 ** 0.2
    return points


def at(ordered, rank):
    """The value that so many do not exceed."""
    seen = 0
    for value, many in ordered:
        seen += many
        if seen >= rank:
            return value
    return ordered[-1][0]
