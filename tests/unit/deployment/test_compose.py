"""docker-compose.yml is valid, and everything it names exists in the code."""

import copy
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from ruamel.yaml import YAML

from holdfast.contracts.names import SEARCH_ATTRIBUTES
from holdfast.embedded.servers import MAX_PAYLOAD
from holdfast.settings.file import load_config
from holdfast.settings.process import ProcessSettings
from holdfast.telemetry.names import METRICS
from tests.unit.deployment.composed import COMPOSE, OURS, ROOT, composed, example, services, variables

TEMPORAL_IMAGE = {
    "DB",
    "DB_PORT",
    "POSTGRES_SEEDS",
    "POSTGRES_USER",
    "POSTGRES_PWD",
    "BIND_ON_IP",
    "NUM_HISTORY_SHARDS",
    "PROMETHEUS_ENDPOINT",
    "DYNAMIC_CONFIG_FILE_PATH",
}
"""What the image temporalio/server reads."""


def test_file_is_a_compose_file() -> None:
    """It validates against the Compose Specification's own schema."""
    _validate(composed())


def test_schema_refuses_what_is_no_compose_file() -> None:
    """The schema is able to refuse: a misspelt key of a service is an error."""
    broken = copy.deepcopy(composed())
    broken["services"]["gateway"]["depend_on"] = ["nats-1"]
    with pytest.raises(jsonschema.ValidationError):
        _validate(broken)


@pytest.mark.parametrize("service", OURS)
def test_command_exists(service: str) -> None:
    """`holdfast gateway` and `holdfast worker` are commands."""
    command = [sys.executable, "-m", "holdfast.cli.main", *services()[service]["command"], "--help"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 0, ended.stderr


@pytest.mark.parametrize("service", OURS)
def test_every_variable_is_read(service: str) -> None:
    """Every variable is one that the settings read, or a secret that deploy/holdfast.yaml names."""
    known = set(_settings_variables()) | _secrets_in((ROOT / "deploy" / "holdfast.yaml").read_text())
    assert set(services()[service]["environment"]) - known == set()


def test_temporal_gets_only_what_its_image_reads() -> None:
    """No variable of Temporal's is misspelt."""
    assert set(services()["temporal"]["environment"]) == TEMPORAL_IMAGE


def test_settings_load_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """The worker's environment is accepted, and names three servers, all of them watched for fsync."""
    for name, value in services()["worker"]["environment"].items():
        monkeypatch.setenv(name, value)
    settings = ProcessSettings.load()
    assert len(settings.nats_url.split(",")) == len((settings.nats_monitor_url or "").split(",")) == 3
    assert settings.traces_exporter == "otlp"
    assert not settings.metrics_pushed
    assert settings.temporal_address == "temporal:7233"


def test_ports_are_those_of_the_settings() -> None:
    """Published, checked and scraped ports are the ones that the processes bind."""
    settings = ProcessSettings.model_fields
    gateway, worker = services()["gateway"], services()["worker"]
    assert gateway["ports"] == [f"{example()['GATEWAY_PORTS']}:{settings['gateway_port'].default}"]
    assert f":{settings['gateway_ops_port'].default}/healthz/ready" in gateway["healthcheck"]["test"][-1]
    assert f":{settings['worker_ops_port'].default}/healthz/ready" in worker["healthcheck"]["test"][-1]
    jobs = {job["job_name"]: job for job in _yaml("deploy/prometheus/prometheus.yml")["scrape_configs"]}
    for name, field in (("gateway", "gateway_ops_port"), ("worker", "worker_ops_port")):
        (found,) = jobs[name]["dns_sd_configs"]
        assert (found["names"], found["port"]) == ([name], settings[field].default)


def test_dockerfile_exposes_the_ports_and_runs_as_nobody_special() -> None:
    """The image says the same ports, and its user is not root."""
    text = (ROOT / "Dockerfile").read_text()
    fields = ("gateway_port", "gateway_ops_port", "worker_ops_port")
    assert f"EXPOSE {' '.join(str(ProcessSettings.model_fields[field].default) for field in fields)}\n" in text
    assert re.search(r"^USER [1-9]\d*:[1-9]\d*$", text, re.MULTILINE)
    assert text.count("--require-hashes") == 2


def test_every_copied_and_mounted_file_exists() -> None:
    """What the Dockerfile copies and what services mount is there, and is not kept out of the build."""
    copied = [
        word
        for line in (ROOT / "Dockerfile").read_text().splitlines()
        if line.startswith("COPY ") and "--from" not in line
        for word in line.split()[1:-1]
    ]
    mounted = [
        volume.split(":")[0]
        for service in services().values()
        for volume in service.get("volumes", [])
        if volume.startswith("./")
    ]
    assert [path for path in (*copied, *mounted) if not (ROOT / path).exists()] == []
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    assert set(copied) == allowed


def test_named_volumes_and_networks_are_declared() -> None:
    """No service uses a volume or network that the file does not declare, and none is declared in vain."""
    whole = composed()
    volumes = {
        volume.split(":")[0]
        for service in whole["services"].values()
        for volume in service.get("volumes", [])
        if not volume.startswith("./")
    }
    networks = {network for service in whole["services"].values() for network in service["networks"]}
    assert (volumes, networks) == (set(whole["volumes"]), set(whole["networks"]))


def test_every_variable_is_in_the_example() -> None:
    """.env.example has each variable that is used and no other; secrets are empty there and required here."""
    used = variables()
    assert {name for name, _, _ in used} == set(example())
    required = {name for name, kind, word in used if kind == "?" and word}
    assert required == {name for name, value in example().items() if not value}
    for name, kind, word in used:
        assert kind == "?" or name in required or (kind == "-" and word == example()[name]), name


def test_no_password_has_a_default() -> None:
    """Whatever is a password or a secret comes from outside, wherever it stands."""
    names = re.compile(r"^\s*(\w*(?:PASSWORD|PWD|SECRET|TOKEN)\w*): *(.*)$", re.MULTILINE)
    found = names.findall(COMPOSE.read_text())
    assert found
    assert [name for name, value in found if not value.startswith("${") or ":?" not in value] == []


def test_services_can_be_scaled_and_are_bounded() -> None:
    """No fixed names, no host port at the worker, pinned images, a limit for each, health where one is waited for."""
    found = services()
    assert not any("container_name" in service for service in found.values())
    assert "ports" not in found["worker"]
    for name, service in found.items():
        assert service["deploy"]["resources"]["limits"].keys() == {"cpus", "memory"}, name
        assert re.search(r":v?\d+(\.\d+)*(-\w+)?$", service["image"]), name
        for other, condition in service.get("depends_on", {}).items():
            assert condition["condition"] != "service_healthy" or "healthcheck" in found[other], (name, other)


def test_only_the_gateway_is_published_to_the_world() -> None:
    """What has no login is published on loopback only; the bus, Temporal and the database not at all."""
    published = {name: service["ports"] for name, service in services().items() if "ports" in service}
    assert set(published) == {"gateway", "temporal-ui", "prometheus"}
    for name in ("temporal-ui", "prometheus"):
        assert all(port.startswith("127.0.0.1:") for port in published[name])


def test_the_gateway_cannot_reach_temporal() -> None:
    """The gateway needs only the bus: it shares no network with Temporal but the one that is watched over."""
    found = services()
    assert set(found["gateway"]["networks"]) & set(found["temporal"]["networks"]) == {"telemetry"}
    assert "TEMPORAL_ADDRESS" not in found["gateway"]["environment"]


def test_configuration_loads() -> None:
    """deploy/holdfast.yaml passes every check, and keeps each stream on three servers."""
    assert load_config(ROOT / "deploy" / "holdfast.yaml").config.bus.replicas == 3


def test_search_attributes_are_those_of_the_contracts() -> None:
    """The namespace gets exactly the search attributes that workflows set."""
    script = (ROOT / "deploy" / "temporal" / "namespace.sh").read_text()
    (names,) = re.findall(r"^for name in (.*); do$", script, re.MULTILINE)
    assert tuple(names.split()) == SEARCH_ATTRIBUTES


@pytest.mark.parametrize("script", sorted((ROOT / "deploy").rglob("*.sh")), ids=lambda path: path.name)
def test_script_is_a_script(script: Path) -> None:
    """A shell can read it."""
    subprocess.run(["sh", "-n", str(script)], check=True, timeout=10)


def test_nats_takes_what_holdfast_sends() -> None:
    """The largest message is the same as in the embedded server."""
    assert f"max_payload: {MAX_PAYLOAD} " in (ROOT / "deploy" / "nats" / "nats.conf").read_text()


def test_rules_ask_for_metrics_that_exist() -> None:
    """Every metric and label in an alert is one that is exposed, under its exact name."""
    exposed = {
        metric.prometheus + suffix: set(metric.labels) | {"le"}
        for metric in METRICS
        for suffix in (("_bucket", "_count", "_sum") if metric.kind == "histogram" else ("",))
    }
    (group,) = _yaml("deploy/prometheus/rules.yml")["groups"]
    asked = [(rule["alert"], *found) for rule in group["rules"] for found in _metrics_in(rule["expr"])]
    assert len(asked) >= 8
    for alert, metric, labels in asked:
        assert metric in exposed, alert
        assert labels <= exposed[metric], alert


def test_rules_watch_what_matters() -> None:
    """Queue depth, latency, failure rate and open dead letters each have an alert."""
    text = (ROOT / "deploy" / "prometheus" / "rules.yml").read_text()
    for metric in (
        "holdfast_queue_depth",
        "holdfast_delivery_end_to_end_duration_seconds_bucket",
        "holdfast_deliveries_total",
        "holdfast_dead_letters_open",
    ):
        assert metric in text


def test_collector_pipelines_name_what_is_configured() -> None:
    """Each pipeline of the collector uses only parts that it defines."""
    config = _yaml("deploy/otel/collector.yaml")
    for pipeline in config["service"]["pipelines"].values():
        for kind in ("receivers", "processors", "exporters"):
            assert set(pipeline[kind]) <= set(config[kind])
    endpoint = config["receivers"]["otlp"]["protocols"]["http"]["endpoint"]
    assert services()["worker"]["environment"]["OTEL_EXPORTER_OTLP_ENDPOINT"].endswith(endpoint.rpartition(":")[2])


def _validate(document: dict[str, Any]) -> None:
    schema = json.loads((ROOT / "tests" / "data" / "compose-spec.json").read_text())
    jsonschema.Draft202012Validator(schema).validate(document)


def _settings_variables() -> list[str]:
    return [
        str(field.validation_alias or f"HOLDFAST_{name.upper()}")
        for name, field in ProcessSettings.model_fields.items()
    ]


def _secrets_in(text: str) -> set[str]:
    return set(re.findall(r"env:([A-Z][A-Z0-9_]*)", text))


def _metrics_in(expression: str) -> list[tuple[str, set[str]]]:
    found = re.findall(r"(holdfast_\w+)(?:\{([^}]*)\})?", expression)
    return [
        (metric, {part.partition("=")[0].rstrip("~!") for part in labels.split(",") if part})
        for metric, labels in found
    ]


def _yaml(path: str) -> Any:
    return YAML(typ="safe", pure=True).load((ROOT / path).read_text())
