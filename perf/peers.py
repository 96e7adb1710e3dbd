"""The proxies that are measured: how each is started, what it serves, and where."""

import http.client
import itertools
import os
import pathlib
import resource
import shutil
import signal
import socket
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
PEERS = "/opt/sluicegate-peers"

# What the backend serves, and a port for each: kind of stream, and whether in TLS.
STREAMS = {"echo": False, "echo-tls": True, "source": False, "source-tls": True}


# Whoever is asked to end ends what it has started.
for ending in (signal.SIGTERM, signal.SIGHUP):
    signal.signal(ending, lambda number, _: sys.exit(128 + number))


class Broken(Exception):
    """A proxy that does not start or does not serve."""


def free_ports(many):
    """Ports that nobody has now, each given once. They are below the range that the kernel gives to clients."""
    ports = []
    while len(ports) < many:
        port = next(PORTS)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        ports.append(port)
    return ports


PORTS = itertools.count(11000 + os.getpid() % 7000)
INSTANCES = itertools.count()


class Process:
    """A process of ours, pinned, with its log, that ends with `stop`."""

    def __init__(self, name, command, core, work, ports):
        self.name = name
        self.log = work / f"{name}.log"
        command = ["taskset", "-c", str(core), *map(str, command)]
        with open(self.log, "w", encoding="utf-8") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        self.pid = self.process.pid
        deadline = time.monotonic() + 15
        for port in ports:
            while not listens(port):
                if self.process.poll() is not None or time.monotonic() > deadline:
                    self.stop()
                    raise Broken(f"{name} does not listen on {port}:\n{self.log.read_text(encoding='utf-8')[-2000:]}")
                time.sleep(0.02)

    def stop(self):
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


def listens(port):
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def fill(name, work, values, comment="#"):
    """A configuration from its template in perf/peers."""
    text = (HERE / "peers" / name).read_text(encoding="utf-8")
    for key, value in values.items():
        text = text.replace(f"@{key}@", str(value))
    left = [line for line in text.splitlines() if "@" in line and not line.lstrip().startswith(comment)]
    if left:
        raise Broken(f"perf/peers/{name}: not filled in: {left}")
    file = work / "-".join(filter(None, (values.get("NAME"), name)))
    file.write_text(text, encoding="utf-8")
    return file


class Setting:
    """The machine for one measurement: which binary, which cores, which ports of the backend."""

    def __init__(self, binary, work, core, peer_core, sessions, name="backend"):
        self.binary, self.work, self.core, self.peer_core = binary, work, core, peer_core
        self.sessions = sessions
        names = ["explicit", *STREAMS]
        self.backend_ports = dict(zip(names, free_ports(len(names))))
        flags = [flag for name, port in self.backend_ports.items() for flag in (f"--{name}", f"127.0.0.1:{port}")]
        self.backend = Process(
            name,
            [binary, "backend", "--certificates", work, "--cipher", "aes-256", "--cores", peer_core,
             "--connections", sessions + 1000, "--passive-ports", "30000-32767", *flags],
            peer_core, work, self.backend_ports.values())

    def user(self):
        """Whom servers become that insist on becoming somebody."""
        return "root" if os.getuid() == 0 else str(os.getuid())


def sluicegate(setting, name="sluicegate", listeners=None, passive=20000, busy=False):
    """FTPS listeners for TLS 1.2 and 1.3, the backend's leg of the same version, and relays of streams.

    Other listeners may be given: what each is called, its TLS, and the port of its backend. Passive ports begin with `passive`.
    A busy one looks for news before it sleeps.
    """
    listeners = listeners or [(version, version, setting.backend_ports["explicit"]) for version in ("1.2", "1.3")]
    ftps = dict(zip((key for key, _, _ in listeners), free_ports(len(listeners))))
    listeners = "".join(FTPS_LISTENER.format(
        name=f"ftps-{at}", port=ftps[key], version=version, backend=backend, work=setting.work,
        first=passive + 2000 * at, last=passive + 1999 + 2000 * at)
        for at, (key, version, backend) in enumerate(listeners))
    streams = dict(zip(STREAMS, free_ports(len(STREAMS))))
    admin, = free_ports(1)
    listeners += "".join(STREAM_LISTENER.format(
        name=name_of, port=streams[name_of], backend=setting.backend_ports[name_of], work=setting.work,
        tls="implicit" if private else "off",
        certificate=f'certificate = "{setting.work}/gate.pem"\nkey = "{setting.work}/gate.key"' if private else "",
        ca=f'ca = "{setting.work}/ca.pem"\nserver_name = "localhost"' if private else "")
        for name_of, private in STREAMS.items())
    # Few sessions transfer at the same time where there are many.
    each = "descriptors_per_session = 2\n" if setting.sessions > 1000 else ""
    values = {"NAME": name, "CORE": setting.core, "BUSY": 'busy_poll = "2ms"' if busy else "", "ADMIN": admin,
              "SESSIONS": f"{setting.sessions}\n{each}", "LISTENERS": listeners}
    file = fill("sluicegate.toml", setting.work, values)
    check = subprocess.run([setting.binary, "check", "--config", file], capture_output=True, text=True, check=False)
    if check.returncode != 0:
        raise Broken(f"sluicegate's configuration: {check.stderr}")
    process = Process(name, [setting.binary, "run", "--config", file], setting.core, setting.work,
                      [*ftps.values(), *streams.values(), admin])
    process.admin = admin
    return process, {**ftps, "1.3-clear": ftps["1.3"], **streams}, file


FTPS_LISTENER = """
[[listener]]
name = "{name}"
address = "127.0.0.1:{port}"
pool = "{name}"
certificate = "{work}/gate.pem"
key = "{work}/gate.key"
tls_versions = ["{version}"]
key_exchange = "off"
data_protection = "any"
passive_ports = "{first}-{last}"
steering = "hash"

[[pool]]
name = "{name}"
members = ["127.0.0.1:{backend}"]
ca = "{work}/ca.pem"
server_name = "localhost"
tls_versions = ["{version}"]
key_exchange = "off"
data_protection = "match"
"""

STREAM_LISTENER = """
[[listener]]
name = "{name}"
mode = "stream"
address = "127.0.0.1:{port}"
pool = "{name}"
tls = "{tls}"
{certificate}
steering = "hash"

[[pool]]
name = "{name}"
members = ["127.0.0.1:{backend}"]
tls = "{tls}"
{ca}
"""


def stream_handshakes(admin):
    """How many streams of a gate have begun with a full handshake, and how many with a resumed one, on either leg."""
    connection = http.client.HTTPConnection("127.0.0.1", admin, timeout=10)
    connection.request("GET", "/metrics")
    lines = connection.getresponse().read().decode().splitlines()
    connection.close()
    return {kind: sum(float(line.rsplit(" ", 1)[1]) for line in lines
                      if line.startswith("sluicegate_stream_tls_total{") and f'kind="{kind}"' in line)
            for kind in ("full", "resumed")}


def mod_proxy(setting, version, policy="required"):
    """ProFTPD with mod_proxy, for one version of TLS on both legs.

    PROT P and PROT C take an instance each: with the policy `client` it passes PROT P on to the backend and then sends
    the file to the client in the clear.
    """
    key = version if policy == "required" else f"{version}-{policy}"
    name = f"mod_proxy-{key}"
    port, = free_ports(1)
    (setting.work / name).mkdir(mode=0o700, exist_ok=True)
    first = 24000 + 1500 * (next(INSTANCES) % 4)
    file = fill("mod_proxy.conf", setting.work, {
        "NAME": name, "PEERS": PEERS, "PORT": port, "USER": setting.user(), "GROUP": setting.user(),
        "WORK": setting.work, "TLS_PROTOCOL": f"TLSv{version}", "POLICY": policy, "FIRST": first, "LAST": first + 1499,
        "BACKEND": setting.backend_ports["explicit"]})
    process = Process(name, [f"{PEERS}/usr/sbin/proftpd", "--nodaemon", "--quiet", "--config", file],
                      setting.core, setting.work, [port])
    return process, {key: port}, file


def haproxy(setting, name="haproxy", busy=False):
    """HAProxy as a relay of streams. A busy one looks for news, and never sleeps."""
    ports = dict(zip(STREAMS, free_ports(len(STREAMS))))
    pem = setting.work / "haproxy.pem"
    pem.write_bytes((setting.work / "gate.pem").read_bytes() + (setting.work / "gate.key").read_bytes())
    tls = f"ssl crt {pem} ssl-min-ver TLSv1.3"
    to_tls = f"ssl no-ssl-reuse ca-file {setting.work}/ca.pem verify required verifyhost localhost sni str(localhost)"
    listeners = "\n".join(
        f"listen {name}\n    bind 127.0.0.1:{ports[name]} {tls if private else ''}\n"
        f"    server backend 127.0.0.1:{setting.backend_ports[name]} {to_tls if private else ''}\n"
        for name, private in STREAMS.items())
    file = fill("haproxy.cfg", setting.work, {
        "NAME": name if busy else None, "BUSY": "busy-polling" if busy else "", "LISTENERS": listeners,
        "MAXCONN": descriptors() // 3})
    process = Process(name, [f"{PEERS}/usr/sbin/haproxy", "-db", "-f", file],
                      setting.core, setting.work, ports.values())
    return process, ports, file


def nginx(setting):
    """nginx as a relay of streams."""
    ports = dict(zip(STREAMS, free_ports(len(STREAMS))))
    listeners = "\n".join(
        f"    server {{\n        listen 127.0.0.1:{ports[name]}{' ssl' if private else ''} backlog=1024;\n"
        f"        proxy_pass 127.0.0.1:{setting.backend_ports[name]};\n"
        f"        proxy_ssl {'on' if private else 'off'};\n    }}"
        for name, private in STREAMS.items())
    file = fill("nginx.conf", setting.work, {
        "PEERS": PEERS, "WORK": setting.work, "USER": setting.user(), "LISTENERS": listeners})
    process = Process("nginx", [f"{PEERS}/usr/sbin/nginx", "-e", setting.work / "nginx-start.log", "-c", file],
                      setting.core, setting.work, ports.values())
    return process, ports, file


def descriptors():
    """How many files a process may open here, up to what any of this needs."""
    return min(resource.getrlimit(resource.RLIMIT_NOFILE)[1], 200_000)


def curl_complaint(port, version, work):
    """What curl has to say against an FTPS server: nothing when a file comes whole."""
    command = ["curl", "-sS", "--max-time", "10", "--ssl-reqd", "--cacert", work / "ca.pem", "--user", "load:load",
               f"--tlsv{version}", "--tls-max", version, "--disable-eprt", "-o", work / "curl.out",
               f"ftp://localhost:{port}/1MiB.bin"]
    if shutil.which("curl") is None:
        return None
    run = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
    size = (work / "curl.out").stat().st_size if (work / "curl.out").exists() else 0
    if run.returncode != 0 or size != 1 << 20:
        return f"curl got {size} bytes: {run.stderr.strip()}"
    return None
