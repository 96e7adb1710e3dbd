"""Profiles the gate in one unit of perf/run and adds its samples up; see perf/profile."""

import argparse
import collections
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time

import drive
import measure
import peers

# A sample belongs to the first group that one of its frames fits, from the innermost outwards. Kernel frames and ours are
# looked up apart. What is generic (core, alloc, std) fits nothing, and so counts for whoever has called it.
KERNEL = [
    ("kernel: copying bytes", r"^_?copy_|_copy_(to|from)_iter|rep_movs|copyin|copyout|^copy_page|skb_copy_datagram"),
    ("kernel: TCP and IP", r"^_*(tcp|inet|ip|sk|sock|skb|net|napi|dev|loopback|nf|lock_sock|release_sock|udp|mptcp|eth)_"
                           r"|^_*(kfree|consume|alloc)_skb|process_backlog|nft_|neigh_|validate_xmit|^enqueue_to_backlog|^sockfd"),
    ("kernel: splice and pipes", r"splice|^pipe_"),
    ("kernel: io_uring", r"^_*io_(?!schedule)"),
    ("kernel: waking and switching", r"^_*schedule|^try_to_wake|^ttwu|^wake_|^_*wake_up|^finish_task|^ep_|^do_epoll|^hrtimer|^tick_"
                                     r"|^update_|^pick_|^select_task|^enqueue_task|^dequeue_task|^do_idle|^futex|^do_futex"),
    ("kernel: interrupts", r"irqentry|sysvec|^asm_"),
    ("kernel: files and memory", r"fput|fget|^alloc_fd|^vfs_|^do_filp|^alloc_file|d_alloc|iput|^do_anon|handle_mm_fault|page|^mm_|inode"
                                 r"|close_fd|kmem_cache|kmalloc|kfree|slab"),
]
OWN = [
    ("allocator", r"^(_int_|__libc_)?(malloc|free|calloc|realloc|memalign)|^_int_|malloc_consolidate|unlink_chunk|^cfree|tcache"
                  r"|^__rust_|^__rdl_|^sysmalloc"),
    ("memory copies", r"^_*(memcpy|memmove|memset|memcmp|bcmp)"),
    ("crypto: records", r"aes_?gcm|gcm_|ghash|aesni|aes_hw|chacha|poly1305|_gcm|aead|vaes|cipher"),
    ("crypto: handshakes", r"aws_lc|ecdsa|p256|x25519|curve25519|sha256|sha512|sha1|hmac|hkdf|rand_bytes|bignum|^BN_|^bn_|EVP_|EC_|rsaz|ring_core"),
    ("TLS state (rustls)", r"rustls|webpki|x509|zeroize"),
    ("reactor (glommio)", r"glommio|futures_lite|async_channel|event_listener|iou::|io_uring|concurrent_queue|crossbeam|flume"),
    ("histograms", r"hdrhistogram"),
    ("ours", r"sluicegate::(\w+)"),
    ("C library", r"@@|libc|^__GI_|^__send$|^syscall$|vdso"),
]
SYSCALL = re.compile(r"^(?:__x64_sys_|__se_sys_|__do_sys_|__sys_)(\w+)")
OPERATION = re.compile(r"^(io_(?:recv|send|recvmsg|sendmsg|accept|connect|read|write|close|shutdown|splice|poll_add|poll_remove|timeout"
                       r"|timeout_remove|nop|epoll_ctl|socket|async_cancel|link_timeout|cqring_wait|poll_task_func|submit_sqes))\b")
FRAME = re.compile(r"^\s+[0-9a-f]+ (.*?)(?:\+0x[0-9a-f]+)? \((.*)\)$")


def main():
    arguments = parse()
    if arguments.list:
        print("\n".join(f"{unit[0]:45} {unit[3][0]}" for unit in measure.UNITS))
        return 0
    unit = next((unit for unit in measure.UNITS if unit[3][0] == arguments.unit),
                next((unit for unit in measure.UNITS if arguments.unit.lower() in unit[0].lower()), None))
    if unit is None:
        raise SystemExit(f"perf/profile: no unit is called {arguments.unit!r}; cure: perf/profile --list")
    if shutil.which("perf") is None:
        raise SystemExit("perf/profile: there is no perf(1); cure: apt-get install linux-perf")
    work = pathlib.Path(tempfile.mkdtemp(prefix="sluicegate-profile-"))
    running = []
    try:
        figures, stacks = record(arguments, unit, work, running)
    finally:
        for process in reversed(running):
            process.stop()
        shutil.rmtree(work, ignore_errors=True)
    if arguments.folded:
        lines = collections.Counter(";".join(symbol for symbol, _ in reversed(stack)) for stack in stacks)
        text = "".join(f"{line} {many}\n" for line, many in sorted(lines.items()))
        pathlib.Path(arguments.folded).write_text(text, encoding="utf-8")
    print(page(unit, figures, stacks, arguments.top))
    return 0


def parse():
    parser = argparse.ArgumentParser(prog="perf/profile", description=__doc__)
    parser.add_argument("unit", nargs="?", default="empty", help="a scenario, or a part of a unit's name [empty]")
    parser.add_argument("--list", action="store_true", help="the units")
    parser.add_argument("--binary", help="profile this one, and build nothing")
    parser.add_argument("--seconds", type=float, default=10.0, help="for how long [10]")
    parser.add_argument("--hertz", type=int, default=1999, help="samples a second [1999]")
    parser.add_argument("--top", type=int, default=25, help="functions listed [25]")
    parser.add_argument("--folded", help="write all stacks here, one a line, as flame graphs are drawn from")
    parser.add_argument("--proxy-core", type=int, default=0, help="the CPU of the gate [0]")
    parser.add_argument("--load-core", type=int, default=1, help="the CPU of load and backend [1]")
    return parser.parse_args()


def record(arguments, unit, work, running):
    """The unit's figures without the profiler, and every sample's frames with it, the innermost first."""
    name, kind, key, flags, _, _ = unit
    arguments.sluicegate = arguments.binary
    setting = peers.Setting(arguments.binary, work, arguments.proxy_core, arguments.load_core, 500)
    running.append(setting.backend)
    gate, ports, _ = peers.sluicegate(setting)
    running.append(gate)

    def run(seconds):
        figures = drive.load(arguments, setting, flags, ports[key], kind, key, gate.pid, seconds)
        if not figures or not figures["good"]:
            raise SystemExit(f"perf/profile: {name}: {(figures or {}).get('failures')}")
        return figures

    drive.say(f"{name}: without the profiler")
    figures = run(arguments.seconds)
    drive.say(f"{name}: with it")
    loading = threading.Thread(target=run, args=(arguments.seconds + 2.0,))
    loading.start()
    # Behind the logins and the load's own warm-up.
    time.sleep(1.0)
    data = work / "perf.data"
    taken = subprocess.run(["perf", "record", "-q", "-F", str(arguments.hertz), "-g", "-p", str(gate.pid), "-o", data, "--",
                            "sleep", str(arguments.seconds)], capture_output=True, text=True, check=False)
    loading.join()
    if taken.returncode != 0:
        raise SystemExit(f"perf/profile: {taken.stderr.strip()}")
    text = subprocess.run(["perf", "script", "-i", data, "--no-inline", "-F", "comm,ip,sym,symoff,dso"], capture_output=True,
                          text=True, check=True).stdout
    return figures, list(stacks_of(text))


def stacks_of(text):
    """Every sample's frames, each a symbol and whether it is the kernel's."""
    stack = []
    for line in text.splitlines() + [""]:
        if not line.strip():
            if stack:
                yield stack
            stack = []
            continue
        frame = FRAME.match(line)
        if frame:
            symbol, binary = frame.groups()
            stack.append((symbol, "kernel" in binary or binary.endswith(".ko")))


def group_of(stack):
    in_kernel = stack[0][1]
    for symbol, is_kernel in stack:
        if is_kernel != in_kernel:
            break
        for name, pattern in KERNEL if in_kernel else OWN:
            found = re.search(pattern, symbol)
            if found:
                return f"ours: {found.group(1)}" if name == "ours" else name
    return "kernel: the rest" if in_kernel else "the rest"


def call_of(stack):
    """For the kernel's samples the system call, and what io_uring was about."""
    call = next((found.group(1) for symbol, is_kernel in stack if is_kernel for found in [SYSCALL.match(symbol)] if found), None)
    operation = next((found.group(1) for symbol, is_kernel in stack if is_kernel for found in [OPERATION.match(symbol)] if found), None)
    if call == "io_uring_enter":
        return f"io_uring_enter: {operation or 'entering'}"
    return call or "none: interrupts, faults, returns"


def page(unit, figures, stacks, top):
    metric = unit[4] if unit[4] in ("cpu_us_per_unit", "cpu_seconds_per_gigabyte") else "cpu_us_per_unit"
    whole = figures[metric]
    name_of = {"cpu_us_per_unit": "us", "cpu_seconds_per_gigabyte": "s/GB"}[metric]
    lines = [f"{unit[0]}: {whole:.3g} {name_of} of CPU; {len(stacks)} samples", ""]

    def table(title, counted):
        lines.extend([f"{title:52} {'share':>7} {name_of:>9}"])
        for name, many in counted:
            lines.append(f"{name[:52]:52} {100 * many / len(stacks):6.1f}% {whole * many / len(stacks):9.3g}")
        lines.append("")

    groups = collections.Counter(group_of(stack) for stack in stacks)
    table("group", groups.most_common())
    calls = collections.Counter(call_of(stack) for stack in stacks if stack[0][1])
    table("in the kernel, by system call", calls.most_common(top))
    leaves = collections.Counter(("[k] " if stack[0][1] else "") + short(stack[0][0]) for stack in stacks)
    table("function", leaves.most_common(top))
    return "\n".join(lines)


def short(symbol):
    """Without the hash, and without what stands in angle brackets within."""
    symbol = re.sub(r"::h[0-9a-f]{16}$", "", symbol)
    return symbol if len(symbol) <= 52 else symbol[:24] + "…" + symbol[-27:]


if __name__ == "__main__":
    sys.exit(main())
