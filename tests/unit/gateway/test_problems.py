import json
from datetime import timedelta

import pytest

from gateway.problems import problem_of, problem_of_bug
from holdfast.errors import Defect, ErrorCode, RejectedInput, Unavailable

TOO_MANY = {ErrorCode.SOURCE_RATE_LIMITED, ErrorCode.SOURCE_TOO_CONCURRENT}


@pytest.mark.parametrize("code", sorted(set(ErrorCode) - TOO_MANY))
def test_what_is_away_is_503_and_never_the_senders_fault(code: ErrorCode) -> None:
    """Whatever the code, an error of a dependency asks the sender to come again."""
    answer = problem_of(Unavailable(code, "nats: no responders at 10.0.0.7"))
    headers = dict(answer.headers)
    assert answer.status == 503
    assert 5 <= int(headers[b"retry-after"]) <= 30
    assert b"10.0.0.7" not in answer.body
    assert json.loads(answer.body)["code"] == code


@pytest.mark.parametrize("code", sorted(TOO_MANY))
def test_too_many_is_429_with_the_time_to_wait(code: ErrorCode) -> None:
    """A source over its limits is told when to come again."""
    answer = problem_of(Unavailable(code, "a sends more than it may", retry_after=timedelta(seconds=7)))
    assert (answer.status, dict(answer.headers)[b"retry-after"]) == (429, b"7")
    assert json.loads(answer.body)["code"] == code


@pytest.mark.parametrize("code", list(ErrorCode))
def test_a_refusal_is_a_4xx_where_the_sender_can_do_something(code: ErrorCode) -> None:
    """Codes that mean the request are 4xx; any other is ours, 500, and says nothing of the inside."""
    answer = problem_of(RejectedInput(code, "secret detail"))
    document = json.loads(answer.body)
    assert document["status"] == answer.status
    if answer.status == 500:
        assert "secret detail" not in document["detail"]
    else:
        assert 400 <= answer.status < 500


def test_unproven_callers_are_told_nothing_else() -> None:
    """Missing and wrong signatures read the same but for their code."""
    texts = {
        json.loads(problem_of(RejectedInput(code, f"because {code}")).body)["detail"]
        for code in (ErrorCode.SIGNATURE_MISSING, ErrorCode.SIGNATURE_INVALID, ErrorCode.SIGNATURE_STALE)
    }
    assert len(texts) == 1


def test_a_wait_that_was_asked_for_is_passed_on_in_whole_seconds() -> None:
    """`retry_after` of the error wins over the draw, and is at least a second."""
    for asked, told in ((timedelta(seconds=7), b"7"), (timedelta(milliseconds=10), b"1")):
        answer = problem_of(Unavailable(ErrorCode.BUS_FULL, "full", retry_after=asked))
        assert dict(answer.headers)[b"retry-after"] == told


def test_a_bug_shows_its_correlation_id_and_nothing_else() -> None:
    """The log holds the rest under the same id."""
    document = json.loads(problem_of_bug("7c1e").body)
    assert (document["status"], document["code"], document["instance"]) == (500, "defect", "urn:uuid:7c1e")
    assert problem_of(Defect(ErrorCode.DEFECT, "x")).status == 500
