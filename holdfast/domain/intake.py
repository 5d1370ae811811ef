"""How the gateway takes events in, as configured: what becomes of them while the bus is away."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from holdfast.domain.clients import Cidr, ForwardedHeader, Proxies, read_network
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
        default="spool",
        description="What a webhook gets while the bus is away, silent or full. `spool`: the event is synced to an"
        " outbox on the gateway's disk, answered 2xx, and brought to the bus when that is back; right for senders that"
        " give up soon or never repeat (GitHub). The danger: that disk is part of the promise, and lost with it is what"
        " lies in the outbox. Give every gateway a data directory of its own (`HOLDFAST_DATA_DIR`) on a disk that"
        " survives a restart. `reject`: 503 with Retry-After; nothing is kept here, and the sender must repeat. Choose"
        " it when the gateway's disk does not outlive the gateway, and all senders repeat for long enough.",
    )
    trusted_proxies: tuple[Cidr, ...] = Field(
        default=(),
        description="Networks (CIDR) of the proxies before the gateway: what they say of their own client counts, for"
        " `allow_ips` and preset mtls. The danger: whoever can reach the gateway from such an address can say anything;"
        " the proxies must overwrite or extend these headers and never pass a client's own on.",
    )
    forwarded_header: ForwardedHeader = Field(
        default="x-forwarded-for",
        description="The header in which trusted proxies name their client. The other one is not looked at.",
    )
    spool: SpoolConfig = Field(default=SpoolConfig(), description="The outbox of `on_unavailable: spool`.")

    @property
    def proxies(self) -> Proxies:
        """The trusted proxies, as the verification asks for them."""
        return Proxies(tuple(map(read_network, self.trusted_proxies)), self.forwarded_header)

    limits: GatewayLimits = Field(default=GatewayLimits(), description="What one gateway process holds at once.")
