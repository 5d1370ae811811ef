"""The embedded bus asks for a password, made once per data directory: other users of the machine stay out."""

from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from holdfast.embedded.files import write_private
from holdfast.embedded.servers import new_password
from holdfast.errors import ErrorCode, RejectedInput

FILE = "credentials.json"


class Credentials(BaseModel):
    """User and password of the embedded NATS server."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    nats_user: str
    nats_password: str


def load_or_create(data_dir: Path) -> Credentials:
    """Read the credentials of `data_dir`, or make them."""
    path = data_dir / FILE
    try:
        return Credentials.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        made = Credentials(nats_user="holdfast", nats_password=new_password())
        write_private(path, made.model_dump_json(indent=2) + "\n")
        return made
    except (OSError, ValidationError) as error:
        raise RejectedInput(
            ErrorCode.CONFIG_INVALID, f"{path} cannot be read; remove it and new credentials are made"
        ) from error
