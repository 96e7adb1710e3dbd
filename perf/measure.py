"""Runs sluicegate and its peers interleaved under the same load, with the machine's floors; see perf/README.md."""

import argparse
import datetime
import json
import os
import pathlib
import platform
import shutil
import socket
import subprocess
import sys
import tempfile
import time

import drive
import latency
import peers
import report
import scale

HERE = pathlib.Path(__file__).resolve().parent

# Every unit: its name, who is measured, the scenario and flags of `sluicegate load`, what is taken from its figures,
# and the floor as a sum of the primitives that benches/floors.rs measures: how many of each.
#
# A transfer: two data connections made and closed, both halves of their handshakes, and the lines EPSV, RETR and 226
# with the flights of the handshakes, which together are four messages there and back. A login: two control connections,
# both halves, and seven messages. A line through both legs is one message, opened and sealed twice.
UNITS = [
    ("empty RETR, TLS 1.3", "ftp", "1.3", ["empty", "--concurrency", "8"], "cpu_us_per_unit",
     {"resumed_1.3_us": 1, "connection_us": 1, "message_us": 4}),
    ("empty RETR, TLS 1.2", "ftp", "1.2", ["empty", "--concurrency", "8"], "cpu_us_per_unit",
     {"resumed_1.2_us": 1, "connection_us": 1, "message_us": 4}),
    ("4 KiB RETR, TLS 1.3", "ftp", "1.3", ["small", "--concurrency", "8"], "cpu_us_per_unit", None),
    ("4 KiB RETR, TLS 1.2", "ftp", "1.2", ["small", "--concurrency", "8"], "cpu_us_per_unit", None),
    ("LIST of 1,000 lines, TLS 1.3", "ftp", "1.3", ["list", "--concurrency", "8"], "cpu_us_per_unit", None),
    ("login and QUIT, TLS 1.3", "ftp", "1.3", ["login", "--concurrency", "8"], "cpu_us_per_unit",
     {"full_1.3_us": 1, "connection_us": 1, "message_us": 7}),
    ("NOOP, TLS 1.3", "ftp", "1.3", ["noop", "--concurrency", "8"], "cpu_us_per_unit",
     {"message_us": 1, "aead_line_us": 2}),
    ("GB by RETR, PROT P", "ftp", "1.3", ["get", "--concurrency", "1"], "cpu_seconds_per_gigabyte",
     {"copy_s_per_gb": 1, "aead_s_per_gb": 1}),
    ("GB by STOR, PROT P", "ftp", "1.3", ["put", "--concurrency", "1"], "cpu_seconds_per_gigabyte",
     {"copy_s_per_gb": 1, "aead_s_per_gb": 1}),
    ("GB by RETR, PROT C", "ftp", "1.3-clear", ["get", "--concurrency", "1", "--clear-data"], "cpu_seconds_per_gigabyte",
     {"splice_s_per_gb": 1}),
    ("stream connection, TLS, full handshakes", "stream", "echo-tls", ["stream-connect", "--concurrency", "8"],
     "cpu_us_per_unit", {"full_1.3_us": 1, "connection_us": 1, "message_us": 1}),
    ("stream connection, plain", "stream", "echo", ["stream-connect", "--concurrency", "8"], "cpu_us_per_unit",
     {"connection_us": 1}),
    ("GB of a stream, TLS", "stream", "source-tls", ["stream-get", "--concurrency", "1"], "cpu_seconds_per_gigabyte",
     {"copy_s_per_gb": 1, "aead_s_per_gb": 1}),
    ("GB of a stream, plain", "stream", "source", ["stream-get", "--concurrency", "1"], "cpu_seconds_per_gigabyte",
     {"splice_s_per_gb": 1}),
]
ROOM_BYTES = 1 << 30
MEMORY = "memory of an idle session, TLS 1.3"


def main():
    arguments = parse()
    # In memory where there is room: mod_proxy looks its tables up in files, and no disk is to be measured.
    memory_of = pathlib.Path("/dev/shm")
    has_room = memory_of.is_dir() and os.access(memory_of, os.W_OK) and shutil.disk_usage(memory_of).free > ROOM_BYTES
    work = pathlib.Path(tempfile.mkdtemp(prefix="sluicegate-perf-", dir=memory_of if has_room else None))
    running = []
    try:
        result = measure(arguments, work, running)
    finally:
        for process in reversed(running):
            process.stop()
        if arguments.keep:
            print(f"kept: {work}", file=sys.stderr)
        else:
            shutil.rmtree(work, ignore_errors=True)
    words = [result["facts"]["date"].split()[0], socket.gethostname(), "quick" if arguments.quick else "full"]
    name = "-".join(words + [arguments.part] * (arguments.part != "all"))
    folder = pathlib.Path(arguments.results)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    spectra = report.write_spectra(result, folder, name)
    text = report.page(result, spectra)
    (folder / f"{name}.md").write_text(text, encoding="utf-8")
    print(text)
    print(f"written: {folder / name}.md and .json", file=sys.stderr)
    return 1 if result["failures"] else 0


def parse():
    parser = argparse.ArgumentParser(prog="perf/run", description=__doc__)
    parser.add_argument("--sluicegate", help=argparse.SUPPRESS)
    parser.add_argument("--floors", help=argparse.SUPPRESS)
    parser.add_argument("--profile", default="release", help=argparse.SUPPRESS)
    parser.add_argument("--quick", action="store_true", help="one round of one second, fewer sessions: rough")
    parser.add_argument("--part", choices=["all", "units", "scale"], default="all",
                        help="the units beside the peers, or what grows with cores, sessions and neighbours [all]")
    parser.add_argument("--rounds", type=int, help="rounds; the table has their medians [3, with --quick 1]")
    parser.add_argument("--seconds", type=float, help="seconds of each measurement [3, with --quick 1]")
    parser.add_argument("--turns", type=int, help="turns of a second for each latency in each round [10, with --quick 3]")
    parser.add_argument("--minutes", type=float, help="nothing is begun after that [40, with --quick 8]")
    parser.add_argument("--only", default="", help="only units whose names contain this, and parts of scale.py so called")
    parser.add_argument("--without", action="append", default=[], help="leave out a peer")
    parser.add_argument("--idle", type=int, help="idle sessions held for the memory of one [1000, with --quick 100]")
    parser.add_argument("--sessions", type=int, help="sessions that take turns, at most [10000, with --quick 1000]")
    parser.add_argument("--idle-held", type=int, help="idle sessions among which is transferred [20000, with --quick 2000]")
    parser.add_argument("--uploads", type=int, help="uploads that must all be whole [1000, with --quick 200]")
    parser.add_argument("--proxy-core", type=int, default=0, help="the CPU of the proxies [0]")
    parser.add_argument("--load-core", type=int, default=1, help="the CPU of load and backend [1]")
    parser.add_argument("--results", default=HERE / "results", help="where to write [perf/results]")
    parser.add_argument("--keep", action="store_true", help="keep logs and configurations")
    arguments = parser.parse_args()
    arguments.rounds = arguments.rounds or (1 if arguments.quick else 3)
    arguments.seconds = arguments.seconds or (1.0 if arguments.quick else 3.0)
    arguments.minutes = arguments.minutes or (8.0 if arguments.quick else 40.0)
    arguments.turns = arguments.turns or (3 if arguments.quick else 10)
    arguments.idle = arguments.idle or (100 if arguments.quick else 1000)
    arguments.sessions = arguments.sessions or (1000 if arguments.quick else 10_000)
    arguments.idle_held = arguments.idle_held or (2000 if arguments.quick else 20_000)
    arguments.uploads = arguments.uploads or (200 if arguments.quick else 1000)
    return arguments


def measure(arguments, work, running):
    result = {
        "facts": facts(arguments), "rounds": arguments.rounds, "seconds": arguments.seconds,
        "units": [], "failures": [], "notes": [], "floors": [], "configs": {}, "scale": [],
    }
    if arguments.part != "scale":
        beside_peers(arguments, work, running, result)
        for process in reversed(running[:]):
            process.stop()
            running.remove(process)
    if arguments.part != "units":
        scale.run(arguments, work, running, result)
    return result


def beside_peers(arguments, work, running, result):
    """Every unit through everybody who can do it, and the floors."""
    setting = peers.Setting(arguments.sluicegate, work, arguments.proxy_core, arguments.load_core,
                            max(arguments.idle, 500))
    running.append(setting.backend)
    subjects = start(arguments, setting, running, result)
    for name, subject in subjects.items():
        for file in subject["files"]:
            result["configs"][file.name] = drive.without_folder(file, work)
        result["notes"] += [f"{name}: {note}" for note in subject["notes"]]
    cells = [Cell(unit, name, subject) for unit in UNITS for name, subject in subjects.items()
             if name != "direct" and unit[2] in subject["ports"] and arguments.only in unit[0]]
    for number in range(arguments.rounds):
        # Half of the time is for what comes behind the units.
        if number > 0 and drive.is_late(arguments, result, f"units, from round {number + 1}", share=1 / 2):
            break
        # Every other round backwards: whoever comes behind a heavy neighbour is not always the same.
        for cell in cells if number % 2 == 0 else reversed(cells):
            drive.say(f"round {number + 1} of {arguments.rounds}: {cell.unit[0]}, {cell.name}")
            with drive.guarded(result, f"{cell.unit[0]}, {cell.name}"):
                cell.run(arguments, setting, result, number)
    result["units"] = [cell.figures() for cell in cells if cell.runs]
    with drive.guarded(result, "latency"):
        latency.run(arguments, setting, subjects, running, result)
    if arguments.only in MEMORY:
        with drive.guarded(result, MEMORY):
            result["units"] += memory(arguments, setting, subjects, running, result)


def start(arguments, setting, running, result):
    """Every subject with what it serves. A peer that does not start is left out and told; where it is ours, the run has failed."""
    makers = {
        "sluicegate": [lambda: peers.sluicegate(setting)],
        "mod_proxy": [lambda: peers.mod_proxy(setting, "1.3"), lambda: peers.mod_proxy(setting, "1.2"),
                      lambda: peers.mod_proxy(setting, "1.3", "clear")],
        "haproxy": [lambda: peers.haproxy(setting)],
        "nginx": [lambda: peers.nginx(setting)],
    }
    subjects = {}
    for name, parts in makers.items():
        if name in arguments.without:
            continue
        subject = {"ports": {}, "pids": {}, "files": [], "notes": [], "makers": parts}
        for part in parts:
            try:
                process, ports, file = part()
            except peers.Broken as why:
                (result["failures"] if name == "sluicegate" else subject["notes"]).append(f"left out: {why}")
                drive.say(str(why))
                continue
            running.append(process)
            subject["files"].append(file)
            for key, port in ports.items():
                subject["ports"][key] = port
                subject["pids"][key] = process.pid
            if name == "sluicegate":
                subject["admin"] = process.admin
        for version in ("1.2", "1.3"):
            if version in subject["ports"]:
                complaint = peers.curl_complaint(subject["ports"][version], version, setting.work)
                if complaint:
                    subject["notes"].append(f"TLS {version}: {complaint}")
                    drive.say(f"{name}, TLS {version}: {complaint}")
        subjects[name] = subject
    # No proxy at all: what the load and the backend take by themselves.
    subjects["direct"] = {"ports": {**setting.backend_ports, "1.3": setting.backend_ports["explicit"],
                                    "1.2": setting.backend_ports["explicit"]},
                          "pids": {}, "files": [], "notes": [], "makers": []}
    return subjects


class Cell:
    """One unit of one subject, over all rounds."""

    def __init__(self, unit, name, subject):
        self.unit, self.name, self.subject, self.runs = unit, name, subject, []

    def run(self, arguments, setting, result, number):
        _, kind, port, flags, metric, formula = self.unit
        # Just before the unit, so that both meet the same machine.
        floor = formula and self.name == "sluicegate" and drive.floors(arguments, formula)
        waiting = drive.sockstat()["tw"]
        before = self.handshakes()
        figures = drive.load(arguments, setting, flags, self.subject["ports"][port], kind, port, self.subject["pids"].get(port))
        if not figures or not figures["good"]:
            why = (figures or {}).get("failures") or "it gave no figures"
            result["failures"].append(f"{self.unit[0]}, {self.name}: {why}")
        if figures and before:
            full, resumed = (self.handshakes()[kind] - before[kind] for kind in ("full", "resumed"))
            # Both legs of each connection: what is compared with full handshakes must have been full ones.
            if resumed or full < 2 * figures["units"]:
                result["failures"].append(f"{self.unit[0]}, {self.name}: {full:.0f} full handshakes and {resumed:.0f} resumed ones "
                                          f"for {figures['units']} connections")
                return
        # Without a single failure, or not at all: what fails fast is cheap.
        if figures and figures["good"]:
            figures.update(round=number, time_wait=waiting)
            if floor:
                figures["floor"] = sum(many * floor[name] for name, many in formula.items())
                result["floors"].append(floor)
            self.runs.append(figures)

    def handshakes(self):
        """What our gate has counted, where a unit is to have full handshakes only."""
        if self.name == "sluicegate" and "full handshakes" in self.unit[0]:
            return peers.stream_handshakes(self.subject["admin"])
        return None

    def figures(self):
        name, _, _, flags, metric, floor = self.unit
        return {"unit": name, "subject": self.name, "scenario": " ".join(flags), "metric": metric,
                "has_floor": floor is not None, "runs": self.runs}


def memory(arguments, setting, subjects, running, result):
    """Idle sessions in processes that have just been started: what a session takes, with everything it ever needed."""
    found = []
    for name, subject in subjects.items():
        if "1.3" not in subject["ports"] or not subject["makers"]:
            continue
        for process in [process for process in running if process.name.startswith(name)]:
            process.stop()
            running.remove(process)
        # A process for each session takes its time; what one costs is the same with fewer.
        sessions = arguments.idle if name == "sluicegate" else min(arguments.idle, 100)
        drive.say(f"{MEMORY}: {sessions} at {name}")
        try:
            process, ports, _ = subject["makers"][0]()
        except peers.Broken as why:
            result["failures"].append(f"{MEMORY}, {name}: {why}")
            continue
        running.append(process)
        time.sleep(0.3)
        figures = drive.load(arguments, setting, ["idle", "--concurrency", str(sessions)], ports["1.3"], "ftp", "1.3",
                       process.pid, 1.0)
        if figures and figures["good"]:
            before, begin, _ = figures["memory_bytes"]
            figures["kib_per_session"] = (begin - before) / figures["links"] / 1024
            found.append({"unit": MEMORY, "subject": name, "scenario": f"idle --concurrency {sessions}",
                          "metric": "kib_per_session", "has_floor": False, "runs": [figures]})
        else:
            result["failures"].append(f"{MEMORY}, {name}: {(figures or {}).get('failures')}")
    return found


def facts(arguments):
    """What the figures depend on."""
    def first(command):
        try:
            run = subprocess.run(command, capture_output=True, text=True, check=False)
        except OSError:
            return "not there"
        return ((run.stdout + run.stderr).strip().splitlines() or ["says nothing"])[0]

    cpu = [line.split(":", 1)[1].strip() for line in pathlib.Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
           if line.startswith("model name")]
    commit = first(["git", "-C", str(HERE), "rev-parse", "--short", "HEAD"])
    changed = subprocess.run(["git", "-C", str(HERE), "status", "--porcelain", "--", "../src", "../Cargo.toml", "../Cargo.lock"],
                             capture_output=True, text=True, check=False).stdout.strip()
    return {
        "date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
        "sluicegate": commit + (" with changes" if changed else "") + f", profile {arguments.profile}",
        "cpu": f"{len(cpu)} x {cpu[0] if cpu else platform.machine()}",
        "kernel": platform.release(),
        "load average at the start": " ".join(f"{value:.2f}" for value in os.getloadavg()),
        "rustc": first(["rustc", "--version"]),
        "proftpd": first([f"{peers.PEERS}/usr/sbin/proftpd", "-v"]),
        "haproxy": first([f"{peers.PEERS}/usr/sbin/haproxy", "-v"]),
        "nginx": first([f"{peers.PEERS}/usr/sbin/nginx", "-v"]),
        "openssl of the peers": first(["openssl", "version"]),
        "cores": f"proxy on {arguments.proxy_core}, load and backend on {arguments.load_core}",
        "network": os.environ.get("SLUICEGATE_NETWORK", "the machine's, with all that others have in it"),
    }


if __name__ == "__main__":
    sys.exit(main())
