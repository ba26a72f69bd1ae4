"""What stands in deploy/ is what its readers can use: each file is checked by the program that will read it."""

import re
import subprocess
import sys
from collections.abc import Iterable
from importlib.metadata import requires
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from dnsguard.daemon.config import HttpSection, Options, Settings, read_settings
from dnsguard.daemon.descriptors import OWN_MAX, PER_ZONE_MAX
from dnsguard.daemon.serve import EXIT_BROKEN, EXIT_POSTPONED, EXIT_USAGE
from tests.servers import require

DEPLOY = Path(__file__).parents[2] / "deploy"
COMPOSE = DEPLOY / "compose"
KUBERNETES = DEPLOY / "kubernetes"
CONTAINERFILES = sorted(DEPLOY.rglob("Containerfile"))
MANIFESTS = sorted(path for path in KUBERNETES.glob("*.yaml") if path.name != "kustomization.yaml")
KUBERNETES_VERSION = "1.30"

SENSIBLE = {
    "DL3008",  # Debian's stable release changes its packages for security only, and those are wanted
}


def ran(*argv: str | Path) -> str:
    done = subprocess.run([*map(str, argv)], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, f"{argv[0]} says:\n{done.stdout}{done.stderr}"
    return done.stdout


def module(name: str, *argv: str | Path) -> str:
    return ran(Path(sys.executable).with_name(name), *argv)


def documents(*paths: Path) -> Iterable[dict[str, Any]]:
    for path in paths:
        yield from yaml.safe_load_all(path.read_text())


def one(kind: str) -> dict[str, Any]:
    found = [document for document in documents(*MANIFESTS) if document["kind"] == kind]
    assert len(found) == 1, kind
    return found[0]


def settings_of(tmp_path: Path, text: str) -> Settings:
    path = tmp_path / "dnsguard.toml"
    path.write_text(text)
    return read_settings(Options(config=path))


@pytest.mark.parametrize("path", CONTAINERFILES, ids=lambda path: path.parent.name)
def test_a_containerfile_is_clean(path: Path) -> None:
    module("hadolint", "--failure-threshold", "warning", *(f"--ignore={rule}" for rule in SENSIBLE), path)


@pytest.mark.parametrize("path", CONTAINERFILES, ids=lambda path: path.parent.name)
def test_a_container_runs_as_nobody_in_particular(path: Path) -> None:
    users = re.findall(r"^USER (.+)$", path.read_text(), re.MULTILINE)
    assert users, "expected a USER line"
    assert users[-1] not in {"root", "0", "0:0"}


def test_the_container_copies_what_the_wheel_is_made_of() -> None:
    text = (DEPLOY / "container" / "Containerfile").read_text()
    for needed in ("pyproject.toml", "README.md", "LICENSE", "dnsguard", "migrations"):
        assert re.search(rf"^COPY (.* )?{re.escape(needed)} ", text, re.MULTILINE), needed


def test_the_compose_file_follows_the_specification() -> None:
    module("check-jsonschema", "--builtin-schema", "vendor.compose-spec", COMPOSE / "compose.yaml")


def test_the_compose_file_names_what_is_there() -> None:
    (composed,) = documents(COMPOSE / "compose.yaml")
    services = composed["services"]
    assert sum(name.startswith("dnsguard-") for name in services) == 3
    for name, service in services.items():
        for secret in service.get("secrets", ()):
            assert secret in composed["secrets"], f"{name} names the secret {secret}"
        for other in service.get("depends_on", ()):
            assert other in services, f"{name} depends on {other}"
        for mount in service.get("volumes", ()):
            source = mount.split(":")[0]
            assert source in composed["volumes"] or (COMPOSE / source).exists(), f"{name} mounts {source}"
        for port in service.get("ports", ()):
            assert port.startswith("127.0.0.1:"), f"{name} is published beyond loopback: {port}"
        if (build := service.get("build")) is not None:
            context = COMPOSE / build["context"]
            assert (context / build["dockerfile"]).exists(), f"{name} is built from nothing"


def test_what_prepare_makes_is_what_the_compose_file_hands_out(tmp_path: Path) -> None:
    (tmp_path / "prepare").write_bytes((COMPOSE / "prepare").read_bytes())
    ran("bash", tmp_path / "prepare")
    before = {path.name: path.read_text() for path in (tmp_path / "secrets").iterdir()}
    ran("bash", tmp_path / "prepare")
    assert {path.name: path.read_text() for path in (tmp_path / "secrets").iterdir()} == before
    (composed,) = documents(COMPOSE / "compose.yaml")
    assert set(before) == set(composed["secrets"])
    assert before["dnsguard-key"] in before["dnsguard-key.conf"]
    assert len(set(before.values())) == len(before)


def test_the_composed_daemons_settings_are_taken(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, (COMPOSE / "dnsguard.toml").read_text())
    (composed,) = documents(COMPOSE / "compose.yaml")
    assert settings.primaries["bind"].host in composed["services"]
    for path in (settings.keys["dnsguard-key"].secret_file, settings.tokens["operator"].token_file):
        assert Path(str(path)).name in composed["secrets"]


def test_binds_settings_in_the_compose_file_are_taken(tmp_path: Path) -> None:
    (tmp_path / "key.conf").write_text('key "dnsguard-key" { algorithm hmac-sha256; secret "c2VjcmV0"; };\n')
    text = (COMPOSE / "bind" / "named.conf").read_text()
    text = text.replace("/run/secrets/dnsguard-key.conf", str(tmp_path / "key.conf"))
    text = text.replace("/var/lib/bind", str(COMPOSE / "bind"))
    (tmp_path / "named.conf").write_text(text)
    ran(require("named-checkconf"), "-z", tmp_path / "named.conf")


def test_the_manifests_follow_kubernetes_own_schema() -> None:
    module("kubernetes-validate", "--strict", "--kubernetes-version", KUBERNETES_VERSION, *MANIFESTS)


def test_the_kustomization_names_every_manifest() -> None:
    (kustomization,) = documents(KUBERNETES / "kustomization.yaml")
    assert sorted(kustomization["resources"]) == [path.name for path in MANIFESTS]


def test_the_manifests_select_the_pods_that_there_are() -> None:
    deployment, service = one("Deployment")["spec"], one("Service")["spec"]
    labels = deployment["template"]["metadata"]["labels"]
    assert deployment["replicas"] == 3
    assert service["selector"] == labels == deployment["selector"]["matchLabels"]
    for kind, field in (("PodDisruptionBudget", "selector"), ("NetworkPolicy", "podSelector")):
        assert one(kind)["spec"][field]["matchLabels"] == labels


def test_a_pod_has_no_right_that_it_does_not_need() -> None:
    pod = one("Deployment")["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["automountServiceAccountToken"] is False
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


def test_no_variable_that_dnsguard_would_refuse_gets_into_a_pod() -> None:
    assert one("Deployment")["spec"]["template"]["spec"]["enableServiceLinks"] is False


def test_the_pods_settings_are_taken_and_their_secrets_mounted(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, one("ConfigMap")["data"]["dnsguard.toml"])
    pod = one("Deployment")["spec"]["template"]["spec"]
    mounts = {mount["mountPath"]: mount["name"] for mount in pod["containers"][0]["volumeMounts"]}
    assert mounts["/etc/dnsguard"] == "configuration"
    named = {
        settings.database_password_file,
        *(key.secret_file for key in settings.keys.values()),
        *(token.token_file for token in settings.tokens.values()),
    }
    assert named == {f"/run/secrets/dnsguard/{name}" for name in one("Secret")["stringData"]}
    assert mounts["/run/secrets/dnsguard"] == "secrets"


def test_the_probes_ask_what_the_daemon_answers() -> None:
    (container,) = one("Deployment")["spec"]["template"]["spec"]["containers"]
    paths = {name: container[name]["httpGet"]["path"] for name in ("startupProbe", "livenessProbe", "readinessProbe")}
    assert paths == {
        "startupProbe": "/v1/health/live",
        "livenessProbe": "/v1/health/live",
        "readinessProbe": "/v1/health/ready",
    }


def test_no_image_is_of_a_version_that_changes_by_itself() -> None:
    images = [re.findall(r"^ARG BASE=(\S+)$", path.read_text(), re.MULTILINE)[0] for path in CONTAINERFILES]
    (composed,) = documents(COMPOSE / "compose.yaml")
    images += [re.sub(r"^\$\{\w+:-(.*)\}$", r"\1", service["image"]) for service in composed["services"].values()]
    images += [each["image"] for each in one("Deployment")["spec"]["template"]["spec"]["containers"]]
    assert len(images) >= 6
    for image in images:
        assert re.fullmatch(r"[^@]+:\d+\.\d+[\w.-]*", image), image


def test_a_pods_data_folder_is_one_that_the_daemon_makes_itself() -> None:
    (container,) = one("Deployment")["spec"]["template"]["spec"]["containers"]
    folder = Path({each["name"]: each["value"] for each in container["env"]}["DNSGUARD_DATA_DIR"])
    assert str(folder.parent) in {mount["mountPath"] for mount in container["volumeMounts"]}


def test_the_constraints_pin_all_that_is_needed_and_name_no_address() -> None:
    text = (DEPLOY / "constraints.txt").read_text()
    assert "/" not in text.partition("\n")[2]
    pinned = {}
    for line in text.splitlines()[1:]:
        name, version = re.fullmatch(r"([\w.-]+)==([\w.]+)", line).groups()  # type: ignore[union-attr]
        pinned[canonicalize_name(name)] = version
    waiting, seen = [Requirement(text) for text in requires("dnsguard") or () if "extra ==" not in text], set()
    while waiting:
        needed = waiting.pop()
        name = canonicalize_name(needed.name)
        assert needed.specifier.contains(pinned[name]), needed
        if name not in seen:
            seen.add(name)
            for line in requires(name) or ():
                further = Requirement(line)
                if further.marker is None or any(
                    further.marker.evaluate({"extra": extra}) for extra in ("", *needed.extras)
                ):
                    waiting.append(further)
    assert "aiohttp" in seen


def test_what_installs_dnsguard_keeps_to_the_constraints() -> None:
    for installer in (DEPLOY / "setup", DEPLOY / "container" / "Containerfile"):
        assert "--constraint" in installer.read_text()


def test_the_units_exposure_is_below_two() -> None:
    said = ran(require("systemd-analyze"), "security", "--offline=true", "--no-pager", DEPLOY / "dnsguard.service")
    found = re.search(r"Overall exposure level for \S+: (\d+\.\d+)", said)
    assert found is not None, said[-300:]
    assert float(found[1]) < 2


def test_the_unit_bounds_what_a_daemon_takes_of_its_host() -> None:
    lines = (DEPLOY / "dnsguard.service").read_text().splitlines()
    said = dict(line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))
    assert (said["MemoryMax"], said["TasksMax"]) == ("1G", "256")
    assert int(said["LimitNOFILE"]) > HttpSection().connections_max + OWN_MAX + 1_000 * PER_ZONE_MAX


def test_the_unit_tries_again_for_ever_unless_a_person_has_to_change_something() -> None:
    lines = (DEPLOY / "dnsguard.service").read_text().splitlines()
    said = dict(line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))
    assert (said["Restart"], said["StartLimitIntervalSec"]) == ("always", "0")
    prevented = {int(code) for code in said["RestartPreventExitStatus"].split()}
    assert prevented == {EXIT_USAGE}
    assert not prevented & {EXIT_POSTPONED, EXIT_BROKEN}
