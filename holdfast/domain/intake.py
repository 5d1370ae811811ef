"""How the gateway takes events in, as configured: what becomes of them while the bus is away."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from holdfast.domain.limits import GatewayLimits
from holdfast.domain.quantities import Size

MIB = 1_048_576


class SpoolConfig(BaseModel):
    """The outbox: a file in the gateway's data directory that holds events until the bus takes them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    max_bytes: Size = Field(
        default=Size(256 * MIB),
        ge=65_536,
        description="Space for events in the outbox, bytes; each counts its size and 512 more. When it is full,"
        " webhooks get 503. Choose the rate of events times their size times the longest outage to bridge. The file"
        " itself may become twice as large, and shrinks when the outbox is empty again.",
    )


class GatewayConfig(BaseModel):
    """The gateway."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    on_unavailable: Literal["reject", "spool"] = Field(
        default="reject",
        description="What a webhook gets while the bus is away, silent or full. `reject`: 503 with Retry-After; nothing"
        " is kept here, and the sender must repeat. Choose it when senders repeat for long enough, or when the"
        " gateway's disk does not outlive the gateway. `spool`: the event is synced to an outbox on the gateway's"
        " disk, answered 2xx, and brought to the bus when that is back. Choose it when senders give up soon or never"
        " repeat (GitHub). The danger: that disk is then part of the promise, and lost with it is what lies in the"
        " outbox. Give every"
        " gateway a data directory of its own (`HOLDFAST_DATA_DIR`) on a disk that survives a restart.",
    )
    spool: SpoolConfig = Field(default=SpoolConfig(), description="The outbox of `on_unavailable: spool`.")
    limits: GatewayLimits = Field(default=GatewayLimits(), description="What one gateway process holds at once.")
