"""What starts the program elsewhere: the compose file, the Kubernetes manifest, the systemd unit."""

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from gollamas.config.load import load
from gollamas.config.model import PRELOADED, Config, Expose
from gollamas.config.values import Size
from gollamas.fleet.policy import Policies
from gollamas.fleet.wishes import wishes_of
from tests.meta.documents import blocks_of, image_env, text_of, yaml_documents_of, yaml_of, yaml_of_text


@pytest.fixture
def compose() -> Any:
    """Give the compose file's one service."""
    services = yaml_of("compose.yaml")["services"]
    assert list(services) == ["gollamas"]
    return services["gollamas"]


@pytest.fixture
def kinds() -> dict[str, Any]:
    """Give the manifest's objects by kind."""
    return {document["kind"]: document for document in yaml_documents_of("deploy/kubernetes.yaml")}


@pytest.fixture
def container(kinds: dict[str, Any]) -> Any:
    """Give the Deployment's one container."""
    (found,) = kinds["Deployment"]["spec"]["template"]["spec"]["containers"]
    return found


def pod_env(kinds: dict[str, Any], container: Any) -> dict[str, str]:
    """Collect a Pod's variables, with those that Kubernetes adds beside a Service called gollamas."""
    injected = {
        "GOLLAMAS_SERVICE_HOST": "10.0.0.1",
        "GOLLAMAS_SERVICE_PORT": "80",
        "GOLLAMAS_SERVICE_PORT_OLLAMA": "80",
        "GOLLAMAS_PORT": "tcp://10.0.0.1:80",
        "GOLLAMAS_PORT_80_TCP": "tcp://10.0.0.1:80",
    }
    own = {entry["name"]: entry["value"] for entry in container["env"]}
    data: dict[str, str] = kinds["ConfigMap"]["data"]
    return injected | data | own


def test_compose_starts_the_program(compose: Any) -> None:
    """With the file's variables, two servers are served with all that they have.

    The one warning is that whoever reaches them may change that, and the file says what takes it away.
    """
    config = load([], image_env() | compose["environment"])
    assert len(config.servers) == 2
    assert config.expose is Expose.INSTALLED
    (warning,) = config.warnings
    assert "`manage: off` to none" in warning
    assert '# GOLLAMAS_MANAGE: "off"' in text_of("compose.yaml")
    assert load([], image_env() | compose["environment"] | {"GOLLAMAS_MANAGE": "off"}).warnings == ()
    assert str(config.listen) == "0.0.0.0:11434"
    assert compose["ports"] == [f"11434:{config.listen.port}"]


def test_uploads_fit_into_the_memory_of_the_pod(kinds: dict[str, Any], container: Any) -> None:
    config = load([], image_env() | pod_env(kinds, container))
    memory = Size(1, 1 << 40).parse(container["resources"]["limits"]["memory"])
    assert config.max_upload + 2 * config.max_body <= memory * 3 // 4


def test_compose_gives_streams_time_to_finish(compose: Any) -> None:
    """The container is not killed before the grace period ends."""
    assert float(compose["stop_grace_period"].removesuffix("s")) > Config().grace


def test_kubernetes_starts_the_program(kinds: dict[str, Any], container: Any) -> None:
    """With the variables of the manifest and those that Kubernetes injects, no fault and no warning."""
    config = load([], image_env() | pod_env(kinds, container))
    assert config.warnings == ()
    assert len(config.models) == 2
    assert config.log_format == "json"
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert config.admin is not None
    assert ports == {"ollama": config.listen.port, "admin": config.admin.port}
    assert config.admin.host == config.listen.host == "0.0.0.0"  # noqa: S104 - the kubelet comes from outside the Pod


def test_what_kubernetes_may_keep_loaded_is_a_configuration(kinds: dict[str, Any], container: Any) -> None:
    """With the variables that the manifest has as comments, a Pod is ready once its models are loaded."""
    said = dict(re.findall(r"^  # (GOLLAMAS_\w+): (.+)$", text_of("deploy/kubernetes.yaml"), re.MULTILINE))
    config = load([], image_env() | pod_env(kinds, container) | said)
    assert config.warnings == ()
    assert config.ready == PRELOADED
    (wish,) = wishes_of(config)
    assert wish.servers == ("gpu-1", "gpu-2")
    assert {policy.load_keep_alive for policy in (Policies(config).of(wish.key) or {}).values()} == {-1}


def test_kubernetes_finds_its_parts(kinds: dict[str, Any], container: Any) -> None:
    """The Service selects the Pods on port 80, and the Pods read the ConfigMap."""
    labels = kinds["Deployment"]["spec"]["template"]["metadata"]["labels"]
    assert kinds["Deployment"]["spec"]["selector"]["matchLabels"] == labels
    assert kinds["Service"]["spec"]["selector"] == labels
    assert kinds["Service"]["metadata"]["name"] == "gollamas"
    (port,) = kinds["Service"]["spec"]["ports"]
    assert (port["port"], port["targetPort"]) == (80, "ollama")
    assert container["envFrom"] == [{"configMapRef": {"name": kinds["ConfigMap"]["metadata"]["name"]}}]


def test_kubernetes_looks_at_health_and_lets_streams_finish(kinds: dict[str, Any], container: Any) -> None:
    """Probes ask the admin port, and a Pod has the grace period and what comes before it to end."""
    paths = {
        probe: container[probe]["httpGet"] for probe in ("livenessProbe", "readinessProbe", "startupProbe")
    }
    assert {get["port"] for get in paths.values()} == {"admin"}
    assert paths["readinessProbe"]["path"] == "/readyz"
    assert paths["livenessProbe"]["path"] == paths["startupProbe"]["path"] == "/healthz"
    pause = float(container["lifecycle"]["preStop"]["exec"]["command"][1])
    assert (
        kinds["Deployment"]["spec"]["template"]["spec"]["terminationGracePeriodSeconds"]
        > pause + Config().grace
    )


def test_the_container_has_no_rights(kinds: dict[str, Any], container: Any, compose: Any) -> None:
    """No root, nothing to write to, no capability, in both."""
    context = container["securityContext"]
    assert context["readOnlyRootFilesystem"] is compose["read_only"] is True
    assert context["capabilities"]["drop"] == compose["cap_drop"] == ["ALL"]
    assert context["allowPrivilegeEscalation"] is False
    assert kinds["Deployment"]["spec"]["template"]["spec"]["securityContext"]["runAsNonRoot"] is True


def test_systemd_takes_the_unit(tmp_path: Path) -> None:
    """`systemd-analyze verify` has nothing to say; the program stands where this test has one."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not here")
    unit = tmp_path / "gollamas.service"
    text = text_of("deploy/gollamas.service")
    assert text.count("/opt/gollamas/bin/gollamas ") == 1
    unit.write_text(text.replace("/opt/gollamas/bin/gollamas ", f"{sys.executable} "))
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", unit], check=False, capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_the_unit_starts_what_the_page_installs() -> None:
    """The page's places are the unit's, and the file that it shows is a configuration."""
    page, unit = text_of("docs/boot.md"), text_of("deploy/gollamas.service")
    for place in ("/opt/gollamas", "/etc/gollamas.yaml", "/etc/default/gollamas"):
        assert place in page
        assert place in unit
    (text,) = [block.text for block in blocks_of("docs/boot.md") if block.language == "yaml"]
    assert list(yaml_of_text(text)["servers"]) == ["pc-1", "pc-2"]
    assert list(load(["--config", "gollamas.yaml"], {}, lambda _: text).servers) == ["pc-1", "pc-2"]
    assert re.search(r"^DynamicUser=yes$", unit, re.MULTILINE)
    assert re.search(r"^RestartPreventExitStatus=2$", unit, re.MULTILINE)
