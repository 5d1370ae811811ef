"""A search attribute of the user's own in the SDK's terms, for runs that an activity starts."""

from datetime import datetime
from typing import Any

from temporalio.common import SearchAttributeKey, SearchAttributePair

from holdfast.domain.actions import SearchAttribute


def pair(attribute: SearchAttribute) -> SearchAttributePair[Any]:
    """Return the typed pair; a datetime is read from RFC 3339."""
    key: Any = {
        "keyword": SearchAttributeKey.for_keyword,
        "text": SearchAttributeKey.for_text,
        "int": SearchAttributeKey.for_int,
        "double": SearchAttributeKey.for_float,
        "bool": SearchAttributeKey.for_bool,
        "datetime": SearchAttributeKey.for_datetime,
        "keyword_list": SearchAttributeKey.for_keyword_list,
    }[attribute.type](attribute.name)
    value: Any = attribute.value
    if attribute.type == "datetime":
        value = datetime.fromisoformat(str(value))
    return SearchAttributePair(key, list(value) if isinstance(value, tuple) else value)
