import pytest
from pydantic import ValidationError

from holdfast.bus.drift import compare
from holdfast.bus.streams import EventsPlan, events_plans, subject_for
from holdfast.domain.stream_policy import EventsStreamConfig
from holdfast.domain.streams import BusConfig

PRESETS = {
    "default": ("limits", "new"),
    "transactions": ("interest", "new"),
    "telemetry": ("limits", "old"),
    "tasks": ("workqueue", "new"),
}


@pytest.mark.parametrize(("preset", "means"), PRESETS.items())
def test_a_preset_is_a_retention_and_a_discard_policy(preset: str, means: tuple[str, str]) -> None:
    """Each preset reaches JetStream as the pair it stands for."""
    plan = EventsPlan("EVENTS-x", EventsStreamConfig.model_validate({"preset": preset}), 1)
    config = plan.config()
    assert (config.retention, config.discard) == means


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"preset": "transactions", "discard": "old"}, "nothing unsettled is lost"),
        ({"preset": "telemetry", "discard": "new"}, "new events are always taken"),
        ({"preset": "tasks", "retention": "limits"}, "would break that"),
        ({"retention": "workqueue", "discard": "old"}, "each eviction would lose an event"),
        ({"retention": "interest", "discard": "old"}, "each eviction would lose an event"),
        ({"max_age": "1h"}, "use archive_for"),
        ({"preset": "tasks", "max_age": "1h"}, "nobody has processed"),
        ({"storage": "memory"}, "answered 2xx"),
        ({"preset": "transactions", "archive_for": "1h"}, "nothing to archive"),
        ({"preset": "telemetry", "max_age": "1h", "archive_for": "2h"}, "longer than max_age"),
        ({"preset": "telemetry", "max_age": "1m"}, "duplicate_window is longer"),
        ({"max_bytes": "1MiB"}, "max_msg_size is larger"),
    ],
)
def test_a_combination_that_loses_is_refused_with_its_reason(given: dict[str, str], reason: str) -> None:
    """What JetStream would take without a word, or refuse in its own, is refused at load in ours."""
    with pytest.raises(ValidationError, match=reason):
        EventsStreamConfig.model_validate(given)


def test_a_name_that_is_nearly_one_of_ours_is_no_new_stream() -> None:
    """A misspelt section does not quietly become a stream."""
    with pytest.raises(ValidationError, match="did you mean"):
        BusConfig.model_validate({"streams": {"dead_leters": {}}})


def test_subjects_of_streams_do_not_overlap() -> None:
    """A stream of one's own has its own subjects, whatever the source is called."""
    assert subject_for("a", "1", "EVENTS-payments").split(".")[:3] == ["events", "payments", "a"]
    patterns = [str((plan.config().subjects or [""])[0]) for plan in events_plans(_two())]
    assert [len(pattern.split(".")) for pattern in patterns] == [3, 4]


def test_what_jetstream_cannot_change_is_refused_with_steps() -> None:
    """Limits change in place; retention and storage do not, and the steps name the stream."""
    before, after = events_plans(_two())[1], events_plans(_two(max_bytes="32MiB"))[1]
    assert compare(after, before.config()).action == "change"
    other = events_plans(_two(preset="tasks"))[1]
    change = compare(other, before.config())
    assert change.action == "refuse"
    assert [drift.field for drift in change.drifts] == ["retention"]
    assert "EVENTS-payments" in " ".join(change.steps)


def _two(**policy: str) -> BusConfig:
    return BusConfig.model_validate({"streams": {"payments": policy}})
