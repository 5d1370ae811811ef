"""Access tokens: scopes in order, one answer for everybody who has none, only hashes at rest."""

import itertools
import stat
from pathlib import Path

import pytest
from pydantic import ValidationError

from holdfast.domain.access import Access, ApiConfig, Scope, TokenConfig, hash_of
from holdfast.embedded.tokens import local_token, new_token
from holdfast.errors import ErrorCode, RejectedInput
from holdfast.settings.access import load_access

TOKENS = {scope: "hf_" + str(scope) * 8 for scope in Scope}
ACCESS = Access({f"{scope}-one": TokenConfig(scope=scope, hash=hash_of(token)) for scope, token in TOKENS.items()})


@pytest.mark.parametrize(("held", "needed"), list(itertools.product(Scope, Scope)))
def test_each_scope_includes_those_before_it(held: Scope, needed: Scope) -> None:
    """Read < operate < admin, and what is too little is `forbidden`."""
    order = [Scope.READ, Scope.OPERATE, Scope.ADMIN]
    authorization = (f"Bearer {TOKENS[held]}".encode(),)
    if order.index(held) >= order.index(needed):
        assert ACCESS.admit(authorization, needed).name == f"{held}-one"
    else:
        with pytest.raises(RejectedInput) as refused:
            ACCESS.admit(authorization, needed)
        assert refused.value.code is ErrorCode.ACCESS_FORBIDDEN


@pytest.mark.parametrize(
    "authorization",
    [
        (),
        (b"",),
        (b"Bearer",),
        (b"Bearer ",),
        (b"Basic aGY6eA==",),
        (b"Bearer hf_unknown",),
        (b"Bearer \xff\xfe",),
        (b"Bearer " + b"x" * 10_000,),
        (b"Bearer hf_readreadreadreadreadreadreadread x",),
        (f"Bearer {hash_of(TOKENS[Scope.ADMIN])}".encode(),),
        (f"Bearer {TOKENS[Scope.READ]}".encode(), f"Bearer {TOKENS[Scope.READ]}".encode()),
    ],
)
def test_everybody_else_is_told_the_same(authorization: tuple[bytes, ...]) -> None:
    """No token, an unknown one, the hash itself, two at once: one code and one text."""
    with pytest.raises(RejectedInput) as refused:
        ACCESS.admit(authorization, Scope.READ)
    assert refused.value.code is ErrorCode.ACCESS_UNAUTHENTICATED
    assert refused.value.message == "Send an access token: Authorization: Bearer hf_…."


def test_without_tokens_nobody_is_let_in() -> None:
    """The empty token does not match the empty configuration."""
    for authorization in ((), (b"Bearer x",)):
        with pytest.raises(RejectedInput):
            Access({}).admit(authorization, Scope.READ)


def test_the_file_takes_hashes_only() -> None:
    """A token itself, or another hash, is refused when the file is read."""
    for wrong in ("hf_" + "x" * 43, "sha256:" + "A" * 64, "md5:" + "0" * 32, ""):
        with pytest.raises(ValidationError):
            ApiConfig.model_validate({"tokens": {"a": {"scope": "read", "hash": wrong}}})


def test_tokens_are_256_random_bits() -> None:
    """Marked, URL-safe, never twice."""
    made = {new_token() for _ in range(100)}
    assert len(made) == 100
    assert all(token.startswith("hf_") and len(token) == 46 for token in made)


def test_the_local_token_is_made_once_and_is_private(tmp_path: Path) -> None:
    """The same at the next start; readable by its owner only; the hash file lets it in as admin, and no other."""
    file = local_token(tmp_path)
    token = file.read_text().strip()
    assert local_token(tmp_path).read_text().strip() == token
    assert {stat.S_IMODE(each.stat().st_mode) for each in tmp_path.iterdir()} == {0o600}
    assert token not in (tmp_path / "api-token.json").read_text()
    access = load_access(ApiConfig(), tmp_path)
    assert access.admit((f"Bearer {token}".encode(),), Scope.ADMIN).name == "local"
    (tmp_path / "api-token.json").write_text("{}")
    with pytest.raises(RejectedInput):
        load_access(ApiConfig(), tmp_path).admit((f"Bearer {token}".encode(),), Scope.READ)
