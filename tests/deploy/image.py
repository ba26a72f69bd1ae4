"""Builds the container images of deploy/ for real, starts what compose.yaml starts, and publishes a plan there.

    python -m tests.deploy.image [--base IMAGE]

Needs root, and Debian's buildah, podman, runc and debootstrap: the base image is made here from Debian's packages, so
that no image has to be fetched (``--base`` names another). PostgreSQL is the tests' own; BIND and three dnsguard run as
containers, read-only, without capabilities, as their images' users. Everything is ended and removed afterwards.
"""

import argparse
import asyncio
import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

from tests.servers.postgresql import Postgresql
from tests.servers.process import free_port

ROOT = Path(__file__).parents[2]
COMPOSE = ROOT / "deploy" / "compose"
START_S_MAX = 60
PAUSE_S = 0.2
BUILD_S_MAX = 900
_CLIENTS = ("/etc/apt", "/etc/pip.conf", "/etc/ssl/certs")
"""What this machine's package clients are told, for use while an image is built; none of it gets into the image."""
_STORAGE = {"STORAGE_DRIVER": "vfs", "BUILDAH_ISOLATION": "chroot"}
_CONFINED = (
    *("--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges", "--network", "host"),
    *("--ulimit", "nofile=4096:4096", "--ulimit", "nproc=4096:4096"),
)


def ran(*argv: str, seconds: float = BUILD_S_MAX) -> str:
    """Run a program to its end; SystemExit with its last words if it fails."""
    done = subprocess.run(
        argv, capture_output=True, text=True, timeout=seconds, check=False, env=os.environ | _STORAGE, cwd=ROOT
    )
    if done.returncode != 0:
        raise SystemExit(f"image: {' '.join(argv[:3])} … failed:\n{(done.stdout + done.stderr)[-2000:]}")
    return done.stdout.strip()


def said(text: str) -> None:
    print(f"image: {text}", flush=True)


def make_base(folder: Path, tag: str) -> None:
    """Make a base image of Debian's own packages, as the official one is."""
    ran("debootstrap", "--variant=minbase", "--include=ca-certificates", "bookworm", str(folder))
    container = ran("buildah", "from", "scratch")
    ran("buildah", "copy", "--quiet", container, str(folder), "/")
    ran("buildah", "commit", "--quiet", container, tag)
    ran("buildah", "rm", container)
    shutil.rmtree(folder)


def build(containerfile: Path, context: Path, base: str, tag: str) -> None:
    mounts = [f"--volume={path}:{path}:ro" for path in _CLIENTS if Path(path).exists()]
    local = ("--pull-never",) if base.startswith("localhost/") else ()
    ran(
        "buildah",
        "bud",
        *local,
        *mounts,
        "--build-arg",
        f"BASE={base}",
        "-t",
        tag,
        "-f",
        str(containerfile),
        str(context),
    )


@contextlib.contextmanager
def started(image: str, *arguments: str, command: tuple[str, ...] = ()) -> Iterator[str]:
    """Run a container until the block ends."""
    podman = ("podman", "--runtime", "runc", "--cgroup-manager", "cgroupfs")
    container = ran(*podman, "run", "--detach", *_CONFINED, *arguments, image, *command)
    try:
        yield container
    except BaseException:
        logs = subprocess.run(["podman", "logs", container], capture_output=True, text=True, check=False)
        sys.stderr.write(logs.stderr[-3000:])
        raise
    finally:
        ran(*podman, "rm", "--force", "--volumes", "--time", "15", container)


def answered(url: str, token: str, body: object = None, headers: Mapping[str, str] | None = None) -> dict[str, object]:
    """Ask the API, again for a minute while it is not there yet."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Authorization": f"Bearer {token}", **(headers or {})})  # noqa: S310  loopback
    until = time.monotonic() + START_S_MAX
    while True:
        try:
            with urllib.request.urlopen(request, timeout=30) as response:  # noqa: S310  loopback
                found: dict[str, object] = json.load(response)
                return found
        except OSError as error:
            if isinstance(error, urllib.error.HTTPError) and error.code != 503:
                raise SystemExit(f"image: {url} answered {error.code}: {error.read().decode()}") from None
            if time.monotonic() > until:
                raise SystemExit(f"image: {url} did not answer within {START_S_MAX} s: {error}") from None
            threading.Event().wait(PAUSE_S)


def publish(folder: Path, database_port: int, database: str, password: str, daemons: int) -> None:
    """Start BIND and the daemons as compose.yaml does, publish a plan, and see that every daemon tells of it."""
    bind_port, http_ports = free_port(), [free_port() for _ in range(daemons)]
    shutil.copytree(COMPOSE, folder, dirs_exist_ok=True)
    ran("bash", str(folder / "prepare"))
    secrets = folder / "secrets"
    (secrets / "database-password").chmod(0o644)
    (secrets / "database-password").write_text(password)
    token = (secrets / "operator.token").read_text().strip()
    conf = folder / "bind" / "named.conf"
    conf.write_text(conf.read_text().replace("port 5300", f"port {bind_port}"))
    mounts = [f"--volume={path}:/run/secrets/{path.name}:ro" for path in sorted(secrets.iterdir())]
    template = (folder / "dnsguard.toml").read_text().replace("port = 5300", f"port = {bind_port}")
    template = template.replace('host = "bind"', 'host = "127.0.0.1"').replace("0.0.0.0:8053", "127.0.0.1:PORT")
    template = template.replace("@postgresql/dnsguard", f"@127.0.0.1:{database_port}/{database}")
    with ExitStack() as stack:
        bind = f"--volume={conf}:/etc/bind/named.conf:ro"
        stack.enter_context(started("localhost/dnsguard-bind", bind, *mounts))
        containers = []
        for port in http_ports:
            settings = folder / f"{port}.toml"
            settings.write_text(template.replace("PORT", str(port)))
            settings.chmod(0o644)
            mine = f"--volume={settings}:/etc/dnsguard/dnsguard.toml:ro"
            containers.append(stack.enter_context(started("localhost/dnsguard", mine, *mounts)))
        for port in http_ports:
            answered(f"http://127.0.0.1:{port}/v1/health/ready", token)
        said(f"{daemons} daemons are ready")
        plan = {"rrsets": [{"name": "www", "type": "A", "ttl": 60, "records": ["192.0.2.1"]}]}
        headers = {"Content-Type": "application/json", "If-Match": "*", "Prefer": "wait=30"}
        answered(f"http://127.0.0.1:{http_ports[0]}/v1/zones/example.test./plans", token, plan, headers)
        asked = ("dig", "+short", "@127.0.0.1", "-p", str(bind_port), "www.example.test.", "A")
        if (address := ran(*asked, seconds=10)) != "192.0.2.1":
            raise SystemExit(f"image: expected 192.0.2.1 from BIND, found {address!r}")
        for port in http_ports:
            found = answered(f"http://127.0.0.1:{port}/v1/zones/example.test.", token)
            if found["published"] != 1:
                raise SystemExit(f"image: expected generation 1 published at every daemon, found {found}")
        said("a plan given to one is on the wire and known to all")
        for container in containers:
            inside = subprocess.run(
                ["podman", "--runtime", "runc", "exec", container, "sh", "-c", "id -u; touch /opt/x || echo refused"],
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
                env=os.environ | _STORAGE,
            )
            if inside.stdout.split() != ["65532", "refused"]:
                raise SystemExit(f"image: expected a user without rights on a read-only root, found {inside}")
        said("each runs as user 65532 on a read-only root")


async def beside_postgresql(folder: Path) -> None:
    """Publish with three daemons that share a PostgreSQL of the tests."""
    async with await Postgresql.start() as server:
        database = await server.database()
        await asyncio.to_thread(publish, folder, server.address[1], database, server.password, 3)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.deploy.image", description=__doc__)
    parser.add_argument("--base", default="", help="the base image; made here if not given")
    base = parser.parse_args().base or "localhost/debian:bookworm-slim"
    if missing := [name for name in ("buildah", "podman", "runc", "debootstrap") if shutil.which(name) is None]:
        raise SystemExit(f"image: expected Debian's {', '.join(missing)}, found nothing; install with apt-get")
    with tempfile.TemporaryDirectory(prefix="dnsguard-image-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        if base.startswith("localhost/") and base not in re.split(
            r"\s", ran("buildah", "images", "--format", "{{.Name}}:{{.Tag}}")
        ):
            said("making the base image")
            make_base(folder / "base", base)
        build(ROOT / "deploy/container/Containerfile", ROOT, base, "localhost/dnsguard")
        build(COMPOSE / "bind/Containerfile", COMPOSE / "bind", base, "localhost/dnsguard-bind")
        said("both images are built")
        asyncio.run(beside_postgresql(folder / "compose"))
    said("all is well")


if __name__ == "__main__":
    main()
