"""One refused request as it is kept for people: why it was refused, and nothing that could be used to forge one."""

from pydantic import AwareDatetime, BaseModel, ConfigDict

MAX_RECORD = 8_192  # bytes of one record as JSON


class Rejection(BaseModel):
    """Why a request was refused. No body, credential or signature; of headers the names and a few safe values."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    version: int = 1
    at: AwareDatetime
    source: str  # `_unknown`: the path belongs to no source
    status: int
    code: str
    reason: str  # more exact than what the sender was told
    method: str
    path: str  # without the query, whose values may be secrets
    query_names: tuple[str, ...] = ()
    peer: str = ""  # address of whoever connected: the sender, or the proxy before us
    header_names: tuple[str, ...] = ()
    headers: dict[str, str] = {}  # values of those that carry no secret
    size: int | None = None  # bytes of the body, as received or as announced
    body_sha256: str | None = None  # where the body was read
    not_kept: int = 0  # refused requests of this source that this gateway did not keep since the one before
