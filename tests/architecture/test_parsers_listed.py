"""No parser is forgotten: a module that reads foreign input is fuzzed, or says why it is not."""

import ast

from tests.architecture.sources import Source, product
from tests.property.parsers import EXCUSED, PARSERS

READERS = {
    "loads",
    "raw_decode",
    "model_validate",
    "model_validate_json",
    "validate_python",
    "validate_json",
    "from_payload",
    "fromisoformat",
    "fromtimestamp",
    "strptime",
    "parsedate_to_datetime",
    "b64decode",
    "urlsafe_b64decode",
    "unhexlify",
    "fromhex",
    "parse_qsl",
    "parse_qs",
    "unquote",
    "load_pem_x509_certificate",
    "load_pem_public_key",
    "ZoneInfo",
}
"""Calls that make something of text or bytes, and raise what they like."""

LISTED = {module for parser in PARSERS.values() for module in parser.modules} | EXCUSED.keys()


def reads(source: Source) -> bool:
    """Whether a file calls one of READERS."""
    return any(
        isinstance(node, ast.Call)
        and (
            (isinstance(node.func, ast.Attribute) and node.func.attr in READERS)
            or (isinstance(node.func, ast.Name) and node.func.id in READERS)
        )
        for node in ast.walk(source.tree)
    )


def module_of(source: Source) -> str:
    """`gateway/receive.py` as `gateway.receive`."""
    return source.path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def test_every_module_that_parses_is_fuzzed() -> None:
    """A new parser is listed in tests/property/parsers.py, where anything is given to it, or excused there."""
    missing = sorted(module for source in product() if reads(source) and (module := module_of(source)) not in LISTED)
    assert not missing, f"list them in tests/property/parsers.py: {missing}"


def test_what_is_listed_exists() -> None:
    """A module that is gone or renamed is not listed any more."""
    known = {module_of(source) for source in product()}
    assert known >= LISTED, sorted(LISTED - known)


def test_a_forgotten_parser_is_seen() -> None:
    """The check can fail."""
    assert reads(Source.of("gateway/a.py", "import json\ndef f(x):\n    return json.loads(x)"))
    assert not reads(Source.of("gateway/a.py", "def f(x):\n    return x.strip()"))
