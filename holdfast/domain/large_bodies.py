"""What of a large body an expression sees: only what it reads is built, so that 25 MiB stay 25 MiB."""

from collections.abc import Collection

from holdfast.domain.bodies import is_json, media_type, read_data
from holdfast.domain.events import Data
from holdfast.domain.json_scan import Path, scan
from holdfast.errors import RejectedInput

_INDENT = 4_096  # bytes looked through for the first character that is no white space
INLINE = 131_072  # bytes; a larger body is stored apart, in the object store


def data_of(body: bytes, content_type: str | None, paths: Collection[Path]) -> Data:
    """Return what stands at `paths` in a large body; a body that is no data is not found, never an error.

    A path past the end of what is JSON is absent, as it would be in the whole. Forms and texts are read whole.
    """
    if not paths:
        return Data()
    if body[:_INDENT].lstrip()[:1] == b"[":
        paths = [()]  # paths name keys of objects; what is a list is read whole
    if is_json(content_type) or (not media_type(content_type) and body[:1] in {b"{", b"["}):
        try:
            return Data(found=True, value=scan(body, paths))
        except RejectedInput:
            return Data()
    return Data(*read_data(body, content_type))
