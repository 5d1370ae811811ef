"""Process settings from the environment: where the servers are, which ports are ours.

Addresses differ between machines, so they stand here and not in holdfast.yaml.
"""

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from holdfast.errors import ErrorCode, RejectedInput


class ProcessSettings(BaseSettings):
    """What a process is told by its environment."""

    model_config = SettingsConfigDict(
        env_prefix="HOLDFAST_",
        env_ignore_empty=True,  # containers pass on variables that nobody set as empty ones
        extra="ignore",
        frozen=True,
        populate_by_name=True,
    )

    config: Path = Field(default=Path("holdfast.yaml"), description="The configuration file.")
    data_dir: Path = Field(
        default=Path(".holdfast"),
        description="Where the embedded servers keep their data, and each gateway its outbox (`spool/`).",
    )
    operator: str | None = Field(
        default=None,
        max_length=200,
        description="Who handles dead letters from this shell, for their history. Default: user@host.",
    )
    log_level: str = Field(default="INFO", description="DEBUG, INFO, WARNING or ERROR.")
    log_format: str = Field(default="json", description="json, or text for people.")

    nats_url: str = Field(
        default="nats://127.0.0.1:4222", validation_alias="NATS_URL", description="NATS servers, separated by commas."
    )
    nats_user: str | None = Field(default=None, validation_alias="NATS_USER", description="NATS user.")
    nats_password: SecretStr | None = Field(
        default=None, validation_alias="NATS_PASSWORD", description="NATS password."
    )
    nats_credentials: Path | None = Field(
        default=None, validation_alias="NATS_CREDS", description="NATS credentials file (.creds); instead of user."
    )
    nats_ca: Path | None = Field(
        default=None,
        validation_alias="NATS_CA",
        description="CA certificates (PEM) for tls:// URLs. Default: the system's.",
    )
    nats_monitor_url: str | None = Field(
        default=None,
        validation_alias="NATS_MONITOR_URL",
        description="HTTP monitoring address of the NATS server, where fsync before ack is verified.",
    )

    temporal_address: str | None = Field(
        default=None,
        validation_alias="TEMPORAL_ADDRESS",
        description="host:port of the Temporal frontend. Other TEMPORAL_… variables and profiles: see Temporal's own"
        " envconfig.",
    )
    temporal_namespace: str | None = Field(
        default=None, validation_alias="TEMPORAL_NAMESPACE", description="Temporal namespace; default `default`."
    )
    temporal_ui_url: str = Field(
        default="http://127.0.0.1:8233", validation_alias="TEMPORAL_UI_URL", description="The Temporal UI, for links."
    )
    temporal_retention_days: int = Field(
        default=30,
        ge=7,
        le=3_650,
        description="Retention the namespace is raised to, days. Duplicates are recognised this long; at least 7.",
    )

    gateway_host: str = Field(default="127.0.0.1", description="Address the gateway binds.")
    gateway_port: int = Field(default=8080, ge=0, le=65_535, description="Port for webhooks.")
    gateway_ops_host: str = Field(default="127.0.0.1", description="Address of the gateway's health and metrics.")
    gateway_ops_port: int = Field(
        default=8081, ge=0, le=65_535, description="Port of the gateway's health and metrics."
    )
    worker_ops_host: str = Field(default="127.0.0.1", description="Address of the worker's health and metrics.")
    worker_ops_port: int = Field(default=8082, ge=0, le=65_535, description="Port of the worker's health and metrics.")
    worker_api: bool = Field(default=True, description="Whether the worker serves the admin API.")
    worker_api_host: str = Field(
        default="127.0.0.1",
        description="Address of the admin API. It speaks plain HTTP: put TLS in front of any but a loopback address.",
    )
    worker_api_port: int | None = Field(
        default=None,
        ge=0,
        le=65_535,
        description="Port of the admin API. Default: the one after HOLDFAST_WORKER_OPS_PORT, so 8083.",
    )
    worker_api_names: str = Field(
        default="",
        description="Host names, separated by commas, under which the admin API may be called besides its address and"
        " localhost. Any other Host is refused, so that no web page can reach it by DNS rebinding.",
    )

    otel_disabled: bool = Field(
        default=False, validation_alias="OTEL_SDK_DISABLED", description="Export neither spans nor metrics by OTLP."
    )
    otel_endpoint: str | None = Field(
        default=None,
        validation_alias="OTEL_EXPORTER_OTLP_ENDPOINT",
        description="OTLP over HTTP, like http://collector:4318; spans and metrics are sent there.",
    )
    otel_traces_endpoint: str | None = Field(
        default=None, validation_alias="OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", description="The same, for spans only."
    )
    otel_metrics_endpoint: str | None = Field(
        default=None, validation_alias="OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", description="The same, for metrics only."
    )
    otel_protocol: Literal["http/protobuf"] = Field(
        default="http/protobuf", validation_alias="OTEL_EXPORTER_OTLP_PROTOCOL", description="The one protocol spoken."
    )
    otel_traces_exporter: Literal["none", "otlp", "console"] | None = Field(
        default=None,
        validation_alias="OTEL_TRACES_EXPORTER",
        description="Where spans go. Default: otlp where an endpoint is set, else none. console prints them.",
    )
    otel_metrics_exporter: Literal["none", "otlp", "prometheus"] | None = Field(
        default=None,
        validation_alias="OTEL_METRICS_EXPORTER",
        description="otlp pushes metrics besides /metrics. Default: otlp where an endpoint is set.",
    )

    @property
    def api_port(self) -> int:
        """Port of the admin API: as named, or beside the worker's other one; 0 takes a free one."""
        if self.worker_api_port is not None:
            return self.worker_api_port
        return min(self.worker_ops_port + 1, 65_535) if self.worker_ops_port else 0

    @property
    def traces_exporter(self) -> Literal["none", "otlp", "console"]:
        """Where spans go, by OpenTelemetry's rules but one: without an endpoint nothing is sent to localhost."""
        if self.otel_disabled:
            return "none"
        return self.otel_traces_exporter or ("otlp" if self.otel_endpoint or self.otel_traces_endpoint else "none")

    @property
    def metrics_pushed(self) -> bool:
        """Whether metrics are pushed by OTLP; /metrics shows them either way."""
        if self.otel_disabled:
            return False
        endpoint = self.otel_endpoint or self.otel_metrics_endpoint
        return self.otel_metrics_exporter == "otlp" or (self.otel_metrics_exporter is None and endpoint is not None)

    @classmethod
    def load(cls) -> Self:
        """Read the environment. Raises RejectedInput `config.invalid` naming every wrong variable."""
        try:
            return cls()
        except ValidationError as error:
            problems = "; ".join(
                f"{_variable(cls, problem['loc'])}: {problem['msg']}"
                for problem in error.errors(include_url=False, include_input=False)
            )
            raise RejectedInput(ErrorCode.CONFIG_INVALID, f"environment: {problems}") from error


def _variable(cls: type[BaseSettings], loc: tuple[int | str, ...]) -> str:
    name = str(loc[0]) if loc else "?"
    field = cls.model_fields.get(name.lower())
    return f"HOLDFAST_{name.upper()}" if field is not None and field.validation_alias is None else name.upper()
