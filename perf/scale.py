"""What must not grow with cores, sessions and neighbours: the second part of perf/run; see perf/README.md.

Every function measures one claim and gives records. A record has cases, each with a value for every round, and what is held
against its target in targets.py, again one value for every round.
"""

import collections
import contextlib
import json
import os
import pathlib
import resource
import statistics
import subprocess
import time

import drive
import peers

CGROUP = pathlib.Path("/sys/fs/cgroup")
# Each core of the gate may use a quarter of a CPU where load and backend need the rest of all there are.
PERIOD_US, QUOTA_US = 20_000, 5_000
# Units a second on one core: a load that one core holds easily, and at which it does not sleep between any two units.
KINDS = {"NOOP": ("noop", 4000), "empty RETR": ("empty", 300)}
# The same for sessions that take turns, near what load and backend can do on one CPU: at a low rate most of what a unit costs is
# to be woken, and that hides what grows.
CROWDED = {"NOOP": ("noop", 20_000), "empty RETR": ("empty", 1500)}
# What neighbours wait is told in the time of so many bytes opened and sealed. It was once a turn of a stream; it stays, so that a
# shorter turn (RELAY_TURN_BYTES of src/limits.rs) is seen as less waiting.
YARDSTICK_BYTES = 1 << 20
# Twice, and what measuring may stray by.
POSSIBLE = 2.05
# A unit that begins so much later than it should tells of a machine that does not hold the rate.
LATE_US = 200_000


class Bench:
    """What all the parts share: flags, folder, processes to end, and where the results go."""

    def __init__(self, arguments, work, running, failures):
        self.arguments, self.work, self.running, self.failures = arguments, work, running, failures
        self.notes = []
        self.rounds, self.seconds = arguments.rounds, arguments.seconds

    def gate(self, name, core, sessions=200, load_core=None):
        """A gate and a backend of its own; gives its process and the port of its listener for TLS 1.3."""
        load_core = load_core or self.arguments.load_core
        setting = peers.Setting(self.arguments.sluicegate, self.work, core, load_core, sessions, f"backend-{name}")
        self.running.append(setting.backend)
        process, ports, _ = peers.sluicegate(setting, name)
        self.running.append(process)
        return Gate(self, setting, process, ports["1.3"], load_core)

    def stop(self, *gates):
        for gate in gates:
            for process in (gate.process, gate.setting.backend):
                process.stop()
                self.running.remove(process)

    def fail(self, what, figures):
        self.failures.append(f"{what}: {(figures or {}).get('failures') or 'it gave no figures'}")


class Gate:
    """A gate that runs, its backend, and the CPUs that load it."""

    def __init__(self, bench, setting, process, port, load_core):
        self.bench, self.setting, self.process, self.port, self.load_core = bench, setting, process, port, load_core

    def run(self, what, *flags, **more):
        """One run of the load against it; nothing where it failed, and then it is told."""
        arguments = self.bench.arguments
        figures = drive.load(arguments, self.setting, flags, self.port, "ftp", "1.3", self.process.pid,
                               cores=self.load_core, **more)
        if not figures or not figures["good"]:
            self.bench.fail(what, figures)
            return None
        late = figures["phases"].get("late", {}).get("p99_us", 0)
        if late > LATE_US:
            # What waits begins all at once: the figure then is one of as many transfers at the same time as there are sessions.
            self.bench.notes.append(f"{what}, {' '.join(flags)}: the rate was not held, units began up to {late / 1e6:.1f} s late")
        return figures

    def start(self, *flags, seconds, port=None):
        """A load beside others."""
        return Beside(self, flags, port or self.port, seconds)

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))


class Beside:
    """A load that runs while something else is measured."""

    def __init__(self, gate, flags, port, seconds):
        self.bench, self.file = gate.bench, gate.bench.work / f"beside-{len(gate.bench.running)}.json"
        self.file.unlink(missing_ok=True)
        command = drive.load_command(gate.bench.arguments, gate.setting, flags, port, self.file, "ftp", "1.3",
                                       gate.process.pid, seconds, cores=gate.load_core)
        self.process = peers.Process(self.file.stem, command, gate.load_core, gate.bench.work, [])
        self.bench.running.append(self.process)

    def figures(self, what, patience):
        """Its figures at its end; nothing where it failed, and then it is told."""
        self.process.process.wait(patience)
        self.bench.running.remove(self.process)
        figures = json.loads(self.file.read_text(encoding="utf-8")) if self.file.exists() else None
        if figures and figures["good"]:
            return figures
        self.bench.fail(what, figures)
        return None


def run(arguments, work, running, result):
    """All parts, one after the other; a part that cannot be measured here says why, and the others go on."""
    bench = Bench(arguments, work, running, result["failures"])
    result["scale"] = []
    parts = [part for part in (cores, sessions, idle, uploads, neighbours) if arguments.only in part.__name__]
    result["scale_parts"] = [part.__name__ for part in parts]
    for part in parts:
        if drive.is_late(arguments, result, part.__name__):
            continue
        if part in (cores, neighbours) and os.sched_getscheduler(0) == os.SCHED_FIFO:
            # No group limits a real-time process, and beside one that is urgent all are.
            result["notes"].append(f"{part.__name__}: left out: perf/run was started before all others on its CPUs (SCHED_FIFO)")
            continue
        began = time.monotonic()
        with drive.guarded(result, part.__name__):
            result["scale"] += part(bench)
        for process in reversed(running[:]):
            process.stop()
            running.remove(process)
        drive.say(f"{part.__name__}: {time.monotonic() - began:.0f} s")
    result["notes"] += bench.notes


def cores(bench):
    """Two cores against one: the same load for each core, and as much as they can."""
    one, two = (str(bench.arguments.proxy_core), f"{bench.arguments.proxy_core},{bench.arguments.load_core}")
    others = os.sched_getaffinity(0) - {bench.arguments.proxy_core, bench.arguments.load_core}
    # Load and backend take about twice as much as the gate: with fewer CPUs than that beside, all share all of them.
    is_limited = len(others) < 4
    load_cores = ",".join(map(str, sorted(os.sched_getaffinity(0) if is_limited else others)))
    gates = {"one core": bench.gate("one", one, load_core=load_cores), "two cores": bench.gate("two", two, load_core=load_cores)}
    allowed = "a quarter of a CPU for each core" if is_limited else "as much as they can"
    shards = {"one core": 1, "two cores": 2}
    records = []
    for unit, (scenario, rate) in KINDS.items():
        cost, work, used = (record(f"{unit}: {what}", unit_of, list(gates)) for what, unit_of in (
            ("CPU, the same load for each core", "us"), (f"done, {allowed}", "a second"),
            ("CPU used meanwhile", "s a second")))
        for number in range(bench.rounds):
            for name in turns(gates, number):
                drive.say(f"cores: round {number + 1} of {bench.rounds}: {unit}, {name}")
                flags = [scenario, "--concurrency", str(64 * shards[name]), "--rate", str(rate * shards[name])]
                figures = gates[name].run(cost["name"], *flags)
                add(cost, name, figures and figures["cpu_us_per_unit"])
        cost.update(claims(cost, "two cores", "one core"), target="cores: cost")
        records.append(cost)
        work["target"] = "cores: work"
        records += [work, used]
        with contextlib.ExitStack() as stack:
            try:
                for name, gate in gates.items() if is_limited else ():
                    stack.enter_context(Allowance(gate.process.pid, shards[name]))
            except OSError as why:
                bench.notes.append(f"{work['name']}: CPU time cannot be limited here: {why}")
                continue
            for number in range(bench.rounds):
                for name in turns(gates, number):
                    drive.say(f"cores: round {number + 1} of {bench.rounds}: {unit}, {name}, {allowed}")
                    figures = gates[name].run(work["name"], scenario, "--concurrency", str(64 * shards[name]))
                    add(work, name, figures and figures["units_per_second"])
                    add(used, name, figures and figures["cpu_seconds"] / figures["seconds"])
        each = [record_of["cases"][name] for name in ("two cores", "one core") for record_of in (work, used)]
        rounds = rounds_of(*each)
        # Neither has exactly what it is allowed: what each core does is counted for the CPU time it had, twice for two cores.
        claim = [2 * (two / two_used) / (one / one_used) for two, two_used, one, one_used in rounds]
        work.update(claim=claim, claim_unit="x one core, for the same CPU time of each core")
        if any(value > POSSIBLE for value in claim):
            bench.notes.append(f"{work['name']}: more than twice the work of one core, which two cannot do: the base is handicapped")
    bench.stop(*gates.values())
    return records


class Allowance(contextlib.AbstractContextManager):
    """A share of a CPU for each core of a gate, by a control group for each core's threads."""

    def __init__(self, pid, shards):
        self.pid, self.groups = pid, []
        threads = collections.defaultdict(list)
        for thread in pathlib.Path(f"/proc/{pid}/task").iterdir():
            # A core's executor has a second thread for what blocks, with the same name.
            threads[(thread / "comm").read_text().strip()].append(thread.name)
        threads = {name: ids for name, ids in threads.items() if name.startswith("core-")}
        if len(threads) != shards:
            raise OSError(f"the gate's threads are called {sorted(threads)}, and it has {shards} cores")
        # Version 2 of the API says so in its first directory; before it, the controller for CPU time has one of its own.
        self.is_unified = (CGROUP / "cgroup.controllers").exists()
        self.home = CGROUP / pathlib.Path(f"/proc/{pid}/cgroup").read_text().split("::")[-1].strip().lstrip("/")
        try:
            parent = self.of_process() if self.is_unified else CGROUP / "cpu"
            for name, ids in threads.items():
                self.limit(self.make(parent / f"sluicegate-perf-{pid}-{name}"), ids)
        except OSError:
            self.__exit__()
            raise

    def make(self, group):
        group.mkdir()
        self.groups.append(group)
        return group

    def of_process(self):
        """In version 2 threads can be divided only within a group of their process."""
        parent = self.make(CGROUP / f"sluicegate-perf-{self.pid}")
        (parent / "cgroup.procs").write_text(str(self.pid))
        return parent

    def limit(self, group, ids):
        if self.is_unified:
            (group / "cgroup.type").write_text("threaded")
            (group.parent / "cgroup.subtree_control").write_text("+cpu")
            (group / "cpu.max").write_text(f"{QUOTA_US} {PERIOD_US}")
        else:
            (group / "cpu.cfs_period_us").write_text(str(PERIOD_US))
            (group / "cpu.cfs_quota_us").write_text(str(QUOTA_US))
        for thread in ids:
            (group / ("cgroup.threads" if self.is_unified else "tasks")).write_text(thread)

    def __exit__(self, *_):
        if self.is_unified and self.groups:
            (self.home / "cgroup.procs").write_text(str(self.pid))
        for group in reversed(self.groups):
            if not self.is_unified:
                for thread in (group / "tasks").read_text().split():
                    (CGROUP / "cpu" / "tasks").write_text(thread)
            group.rmdir()


def sessions(bench):
    """CPU per unit at the same rate with ever more sessions, each of which takes its turn."""
    # Each transfer that is under way has six more, and where the machine holds its breath hundreds are.
    most = min(bench.arguments.sessions, sessions_possible(spare=3000))
    counts = [many for many in (10, 100, 1000, 10_000) if many < most] + [most]
    names = [f"{many:,}" for many in counts]
    gate = bench.gate("many", bench.arguments.proxy_core, sessions=most + 100)
    records = []
    for unit, (scenario, rate) in CROWDED.items():
        found = record(f"{unit}: CPU at {rate:,} a second, by sessions that take turns", "us", names)
        for number in range(bench.rounds):
            for many in turns(counts, number):
                drive.say(f"sessions: round {number + 1} of {bench.rounds}: {unit}, {many:,}")
                # Long enough before it is measured for each of them to have done one.
                figures = gate.run(found["name"], scenario, "--concurrency", str(many), "--rate", str(rate),
                                   warmup=0.5 + many / rate)
                add(found, f"{many:,}", figures and figures["cpu_us_per_unit"])
        found.update(claims(found, names[-1], names[0]), target="sessions: cost")
        records.append(found)
    bench.stop(gate)
    return records


def idle(bench):
    """Many sessions that only stay, and transfers among them; as many gates as the limit of descriptors makes necessary."""
    wanted = bench.arguments.idle_held
    gates = -(-wanted // sessions_possible())
    each = -(-wanted // gates)
    if gates > 1:
        bench.notes.append(f"{wanted:,} idle sessions: {descriptor_limit():,} descriptors a process make that {gates} gates "
                           f"of {each:,}, each with a backend and a load of its own")
    group = [bench.gate(f"idle-{number}", bench.arguments.proxy_core, sessions=each + 100) for number in range(gates)]
    # Transfers go through one of the gates.
    among = f"{wanted:,}" if gates == 1 else f"{each:,} in this gate, {wanted:,} in all"
    cost = record("empty RETR: CPU at 200 a second, by idle sessions beside", "us", ["0", among])
    middle = record("empty RETR: median of latency at 200 a second, by idle sessions beside", "us", ["0", among])
    # Before the others come and once more when they have gone: what the machine does meanwhile is in neither or in both.
    transfers(bench, group[0], "0", cost, middle)
    before = kernel_memory()
    # They are held from when all of one load are in; other loads may need longer for theirs.
    span = bench.rounds * (bench.seconds + 3) + 15 + wanted / 1000
    loads = [gate.start("idle", "--concurrency", str(each), seconds=span) for gate in group]
    wait_for_all(group, each, wanted)
    after = kernel_memory()
    transfers(bench, group[0], among, cost, middle)
    held = sum(min(each, gate.descriptors() // 2) for gate in group)
    good = [figures for load in loads if (figures := load.figures("idle sessions", span + 60))]
    transfers(bench, group[0], "0", cost, middle)
    bench.stop(*group)
    for found in (cost, middle):
        alone = statistics.median(present(found["cases"]["0"]) or [0])
        claim = [value / alone for value in present(found["cases"][among]) if alone]
        found.update(claim=claim, claim_unit="x alone", target="idle: transfers")
    return [stayed(held, good, wanted), memory_of_each(good, before, after), cost, middle]


def transfers(bench, gate, name, cost, middle):
    """What a transfer takes beside so many."""
    for number in range(bench.rounds):
        drive.say(f"idle: round {number + 1} of {bench.rounds}: transfers beside {name}")
        figures = gate.run(cost["name"], "empty", "--concurrency", "8", "--rate", "200")
        add(cost, name, figures and figures["cpu_us_per_unit"])
        add(middle, name, figures and figures["phases"]["unit"]["p50_us"])


def wait_for_all(group, each, wanted):
    """Until all have logged in, or their time is over."""
    deadline = time.monotonic() + 30 + wanted / 50
    while any(gate.descriptors() < 2 * each for gate in group) and time.monotonic() < deadline:
        time.sleep(1)
        drive.say(f"idle: {sum(gate.descriptors() // 2 for gate in group):,} of {wanted:,} sessions")
    time.sleep(1)


def stayed(held, good, wanted):
    """How many were there while it was measured, and stayed to the end."""
    many = min(held, sum(one["links"] for one in good))
    count = record("idle sessions, logged in, both legs in TLS", "held", ["sluicegate"])
    add(count, "sluicegate", many)
    count.update(claim=[many / wanted], claim_unit="of those wanted", target="idle: held")
    return count


def memory_of_each(good, before, after):
    """What one of them takes in the gate and in the kernel."""
    space = record("memory of each", "KiB", ["in the gate", "in the kernel, for each of its sockets"])
    space["target"] = "idle: memory"
    grown = [(one["memory_bytes"][1] - one["memory_bytes"][0]) / one["links"] / 1024 for one in good]
    if grown:
        add(space, "in the gate", statistics.mean(grown))
        add(space, "in the kernel, for each of its sockets", (after[0] - before[0]) / max(after[1] - before[1], 1) / 1024)
        space.update(claim=[statistics.mean(grown)], claim_unit="KiB")
    return space


def uploads(bench):
    """Uploads to a backend that sends TLS 1.3 tickets on each data connection, and checks what has come."""
    setting = peers.Setting(bench.arguments.sluicegate, bench.work, bench.arguments.proxy_core, bench.arguments.load_core, 200,
                            "backend-uploads")
    bench.running.append(setting.backend)
    many = bench.arguments.uploads
    found = record(f"uploads of 1 MiB that were whole, of {many:,}", "", [])
    for name, make in (("sluicegate", lambda: peers.sluicegate(setting)), ("mod_proxy", lambda: peers.mod_proxy(setting, "1.3"))):
        if name in bench.arguments.without:
            continue
        drive.say(f"uploads: {many:,} through {name}")
        try:
            process, ports, _ = make()
        except peers.Broken as why:
            bench.notes.append(f"uploads: {name} is left out: {why}")
            continue
        bench.running.append(process)
        figures = drive.load(bench.arguments, setting, ["put", "--size", "1MiB", "--units", str(many), "--concurrency", "8"],
                               ports["1.3"], "ftp", "1.3", None, seconds=90.0, warmup=0)
        found["cases"][name] = [figures["units"]] if figures else []
        if figures and figures["failures"]:
            bench.notes.append(f"uploads through {name}: {figures['failures']}")
    ours = found["cases"].get("sluicegate")
    if ours:
        found.update(claim=[ours[0] / many], claim_unit="of all", target="uploads")
    return [found]


def neighbours(bench):
    """NOOPs at a rate, alone, beside a bulk stream that does not go through the gate, and beside one that does."""
    core, load_core = bench.arguments.proxy_core, bench.arguments.load_core
    bulk = peers.Setting(bench.arguments.sluicegate, bench.work, core, load_core, 200, "backend-bulk")
    bench.running.append(bulk.backend)
    # One gate, two listeners, a backend behind each: what the bulk's backend is busy with delays no NOOP.
    both = peers.Setting(bench.arguments.sluicegate, bench.work, core, load_core, 200, "backend-calm")
    bench.running.append(both.backend)
    process, ports, _ = peers.sluicegate(both, "fair", [("bulk", "1.3", bulk.backend_ports["explicit"]),
                                                        ("1.3", "1.3", both.backend_ports["explicit"])])
    bench.running.append(process)
    gate = Gate(bench, both, process, ports["1.3"], load_core)
    urgent = real_time(bench, both.backend.pid, process.pid)
    past_it, through_it = "bulk past the gate", "bulk through the gate"
    ways = {"alone": None, past_it: bulk.backend_ports["explicit"], through_it: ports["bulk"]}
    tail = record("NOOP at 500 a second: p99", "us", list(ways))
    middle = record("NOOP at 500 a second: median", "us", list(ways))
    speed = record("the stream beside: gigabytes", "GB/s", list(ways)[1:])
    turn = record("the yardstick: a MiB opened and sealed", "us", ["floor"])
    # Behind p99 are a hundredth of them: 15 in three seconds.
    seconds = max(bench.seconds, 3.0)
    for number in range(bench.rounds):
        floor = drive.floors(bench.arguments, ["copy_s_per_gb", "aead_s_per_gb"])
        add(turn, "floor", (floor["copy_s_per_gb"] + floor["aead_s_per_gb"]) * YARDSTICK_BYTES / 1e3)
        for name in turns(ways, number):
            drive.say(f"neighbours: round {number + 1} of {bench.rounds}: {name}")
            stream = None
            if ways[name]:
                # Its own second of warming up, and one for the load beside it to come in and leave.
                stream = gate.start("get", "--concurrency", "1", seconds=seconds + 2, port=ways[name])
                time.sleep(1)
            figures = gate.run(f"neighbours, {name}", "noop", "--concurrency", "8", "--rate", "500", before=urgent, seconds=seconds)
            if stream:
                moved = stream.figures(f"neighbours, the stream, {name}", 60)
                add(speed, name, moved and moved["bytes_per_second"] / 1e9)
            unit = figures and figures["phases"]["unit"]
            add(tail, name, unit and unit["p99_us"])
            add(middle, name, unit and unit["p50_us"])
    rounds = rounds_of(tail["cases"][past_it], tail["cases"][through_it], turn["cases"]["floor"])
    tail.update(claim=[(through - past) / one for past, through, one in rounds], claim_unit="yardsticks more", target="neighbours")
    return [tail, middle, speed, turn]


def real_time(bench, *pids):
    """Puts processes before all others on their CPUs; gives the words that do the same for a command."""
    for pid in pids:
        moved = subprocess.run(["chrt", "--fifo", "--all-tasks", "--pid", "10", str(pid)], capture_output=True, text=True, check=False)
        if moved.returncode != 0:
            bench.notes.append(f"neighbours: everything shares its CPU with everything else: {moved.stderr.strip()}")
            return []
    return ["chrt", "--fifo", "10"]


def record(name, unit, cases):
    return {"name": name, "unit": unit, "cases": {case: [] for case in cases}}


def add(found, case, value):
    """A round's value; nothing where the run failed, so that what stands beside it stays beside it."""
    found["cases"][case].append(value)


def rounds_of(*lists):
    """Round by round the values of several cases, where there are all of them."""
    return [values for values in zip(*lists) if None not in values]


def claims(found, case, base):
    """Round by round, how many times the base a case is."""
    return {"claim": [one / other for one, other in rounds_of(found["cases"][case], found["cases"][base]) if other],
            "claim_unit": f"x {base}"}


def present(values):
    return [value for value in values if value is not None]


def turns(cases, number):
    """Every other round backwards, as in measure.py."""
    return list(cases) if number % 2 == 0 else list(cases)[::-1]


def descriptor_limit():
    return resource.getrlimit(resource.RLIMIT_NOFILE)[1]


def sessions_possible(spare=500):
    """Idle sessions that one gate of one core can have here: two descriptors each, and what is spared for other things."""
    return (descriptor_limit() - spare) // 2


def kernel_memory():
    """Bytes that the kernel has in slabs and in socket buffers, and how many TCP sockets there are."""
    slab = next(int(line.split()[1]) * 1024 for line in pathlib.Path("/proc/meminfo").read_text().splitlines()
                if line.startswith("Slab:"))
    facts = drive.sockstat()
    return slab + facts["mem"] * resource.getpagesize(), facts["inuse"]
