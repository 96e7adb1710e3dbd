"""What every part of perf/run is driven with: the load, the floors, the clock."""

import contextlib
import json
import pathlib
import subprocess
import sys
import time

BEGAN = time.monotonic()


def load(arguments, setting, flags, port, kind, key, pid, seconds=None, before=(), with_counts=False, **more):
    """One run of `sluicegate load`; its figures, or nothing. With counts: how many units took how many microseconds, too."""
    file = setting.work / "load.json"
    file.unlink(missing_ok=True)
    command = load_command(arguments, setting, flags, port, file, kind, key, pid, seconds, **more)
    try:
        run = subprocess.run([*before, *command], capture_output=True, text=True, timeout=240, check=False)
    except subprocess.TimeoutExpired:
        say("  it does not end")
        return None
    if run.returncode != 0:
        say("  " + (run.stdout + run.stderr).strip().replace("\n", "\n  "))
    if not file.exists():
        return None
    figures = json.loads(file.read_text(encoding="utf-8"))
    # Only what measures latency plots, and it takes all there is.
    for phase in figures["phases"].values():
        phase.pop("spectrum")
    if not with_counts:
        figures.pop("unit_counts")
    return figures


def load_command(arguments, setting, flags, port, file, kind, key, pid, seconds=None, cores=None, warmup=0.5):
    """The words of one run."""
    command = [arguments.sluicegate, "load", *flags, "--target", f"127.0.0.1:{port}", "--json", file,
               "--cores", cores or arguments.load_core, "--cipher", "aes-256", "--ca", setting.work / "ca.pem",
               "--duration", f"{int(1000 * (seconds or arguments.seconds))}ms", "--warmup", f"{int(1000 * warmup)}ms",
               "--patience", "20s"]
    if kind == "stream":
        command += ["--tls", "implicit" if key.endswith("-tls") else "off", "--tls-version", "1.3"]
    else:
        command += ["--tls-version", key.removesuffix("-clear")]
    if pid:
        command += ["--meter", pid]
    return [str(word) for word in command]


def load_units(setting, scenario, version, port, units, sessions=1):
    """So many units and no more, however long they take; ends the program where one fails."""
    command = [setting.binary, "load", scenario, "--target", f"127.0.0.1:{port}", "--units", units, "--concurrency", sessions,
               "--cores", setting.peer_core, "--cipher", "aes-256", "--tls-version", version, "--ca", setting.work / "ca.pem",
               "--patience", "30s", "--duration", "2m"]
    ran = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
    if ran.returncode != 0:
        raise SystemExit(f"{scenario}, TLS {version}: {ran.stdout}{ran.stderr}")


def cpu_nanos(pid):
    """What all threads of a process have had of CPUs, by the scheduler's own account."""
    tasks = pathlib.Path(f"/proc/{pid}/task").glob("*/schedstat")
    return sum(int(task.read_text(encoding="utf-8").split()[0]) for task in tasks)


def floors(arguments, names):
    """Microseconds, or seconds for a gigabyte, of these primitives."""
    seconds = min(arguments.seconds, 1.0) / 2
    command = [arguments.floors, "--cores", f"{arguments.proxy_core},{arguments.load_core}", "--seconds", str(seconds),
               "--only", ",".join(names)]
    return json.loads(subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout)


def sockstat():
    """What the kernel has of TCP in this network: sockets in use, in TIME_WAIT, pages of buffers."""
    words = next(line.split() for line in pathlib.Path("/proc/net/sockstat").read_text(encoding="utf-8").splitlines()
                 if line.startswith("TCP:"))
    return dict(zip(words[1::2], map(int, words[2::2])))


def say(text):
    """A line of progress, with the time since the beginning."""
    elapsed = int(time.monotonic() - BEGAN)
    print(f"[{elapsed // 60:2}:{elapsed % 60:02}] {text}", file=sys.stderr, flush=True)


def is_late(arguments, result, what, share=1):
    """Whether the time is over, or this share of it: nothing more is begun then, and the page says what is not there."""
    minutes = arguments.minutes * share
    late = time.monotonic() - BEGAN > 60 * minutes
    if late:
        result["notes"].append(f"left out after {minutes:.0f} minutes: {what}")
    return late


@contextlib.contextmanager
def guarded(result, what):
    """Whatever goes wrong with one thing must not cost the figures of the others."""
    try:
        yield
    except Exception as why:
        result["failures"].append(f"{what}: {type(why).__name__}: {why}")


def without_folder(file, work):
    """A configuration as it may be shown."""
    return file.read_text(encoding="utf-8").replace(str(work), "WORK")
