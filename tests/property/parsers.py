"""Every parser of the product: its module, how it is called with anything at all, and what it may raise.

`tests/architecture/test_parsers_listed.py` fails where a module reads foreign input and is not listed here.
"""

import sqlite3

from hypothesis import strategies as st
from pydantic import ValidationError

from activities import http
from gateway import confirm, drain, normalise, outbox_file, protocol, receive, tracing
from holdfast.bus import errors, fsync, lookup, publish
from holdfast.contracts import attempts, dead_letter, delivery, scheduled
from holdfast.domain import (
    bodies,
    captured,
    cloudevents,
    conditions,
    cron,
    events,
    paths,
    quantities,
    rfc3339,
    schedules,
    secretrefs,
    signing_keys,
    triggers,
)
from holdfast.domain.matching import CompiledTriggers
from holdfast.domain.presets import PRESETS
from tests.property.foreign import (
    NOW,
    acked,
    claims,
    configured,
    data,
    documents,
    dumped,
    escalated,
    evaluated,
    found_route,
    given_to_a_workflow,
    greeted,
    headers,
    judged_token,
    mostly,
    opened_outbox,
    pem,
    raw,
    read_credentials,
    read_keys_of_all,
    read_secret,
    read_stack,
    records,
    redriven,
    requests,
    scalars,
    text,
    unwrapped,
    verified_by_all,
    verified_file,
)
from tests.property.fuzzing import OURS, Parser
from tests.property.parsers_of_pressure import PRESSURE
from tests.property.parsers_of_replies import REPLIES
from tests.property.parsers_of_words import WORDS
from workers.decide import Arrived, decide

ENVELOPE = ("specversion", "id", "source", "type", "time", "received_at", "datacontenttype", "body_encoding", "body")
MESSAGE = ("seq", "subject", "data", "hdrs", "time")

PARSERS: dict[str, Parser] = {
    "JSON body": Parser(("holdfast.domain.bodies",), bodies.parse_json, documents),
    "JSON's encoding": Parser(("holdfast.domain.bodies",), bodies.json_text, documents),
    "any body": Parser(
        ("holdfast.domain.bodies",),
        lambda given: bodies.read_data(*given),
        st.tuples(documents, st.none() | text | st.sampled_from(["application/json", "text/x"])),
        (),
    ),
    "form": Parser(
        ("holdfast.domain.bodies",),
        lambda body: bodies.read_data(body, "application/x-www-form-urlencoded"),
        raw | st.text("ab=&%+é\ud800", max_size=80).map(lambda t: t.encode("utf-8", "surrogatepass")),
        (),
    ),
    "binary CloudEvent": Parser(
        ("holdfast.domain.cloudevents", "holdfast.domain.rfc3339"),
        lambda given: cloudevents.read_binary(*given),
        st.tuples(headers, st.none() | text, raw),
    ),
    "structured CloudEvent": Parser(
        ("holdfast.domain.cloudevents",),
        cloudevents.read_structured,
        mostly(records("specversion", "id", "source", "type", "data", "data_base64", "time", "datacontenttype")),
    ),
    "batch of CloudEvents": Parser(
        ("holdfast.domain.cloudevents",),
        lambda body: cloudevents.read_batch(body, 10),
        mostly(st.lists(records("specversion", "id", "source", "type", "data", "data_base64"), max_size=3)),
    ),
    "request as event": Parser(("gateway.cloudevents", "gateway.normalise"), unwrapped, requests),
    "query": Parser(("gateway.normalise",), normalise.query_of, raw | st.just(b"a&" * 500)),
    "head": Parser(("gateway.receive",), lambda given: receive.check_head(given, 1_000), headers),
    "ambiguous head": Parser(
        ("gateway.protocol",),
        lambda given: protocol.check_one_meaning("1.1", b"/", given),
        headers,
        (protocol.Ambiguous,),
    ),
    "trace context": Parser(("gateway.tracing",), tracing.incoming_trace, headers, ()),
    "path of a request": Parser(("gateway.routes",), found_route, raw, ()),
    "handshake": Parser(("gateway.handshakes", "holdfast.domain.handshakes"), greeted, requests),
    "signatures of every sender": Parser(
        (
            "holdfast.domain.signatures",
            "holdfast.domain.components",
            "holdfast.domain.material",
            "holdfast.domain.proofs",
            "holdfast.domain.signing_keys",
        ),
        verified_by_all,
        requests,
    ),
    "signing key": Parser(("holdfast.domain.signing_keys",), read_keys_of_all, text | pem | raw),
    "certificate": Parser(
        ("holdfast.domain.signing_keys",),
        lambda given: signing_keys.certificate_key(given, NOW),
        raw | st.just(b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----"),
        (),
    ),
    "JSON Web Token": Parser(("holdfast.domain.jwts",), judged_token, claims, ()),
    "path into data": Parser(
        ("holdfast.domain.paths",),
        lambda given: paths.walk(*given),
        st.tuples(data, st.lists(text | st.sampled_from(["*", "+", "0", "²"]), max_size=4)),
        (),
    ),
    "RFC 3339": Parser(
        ("holdfast.domain.rfc3339",),
        rfc3339.read_rfc3339,
        text | st.from_regex(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)"),
        (),
    ),
    "duration": Parser(("holdfast.domain.quantities",), quantities.parse_duration, scalars, (ValueError,)),
    "rate": Parser(("holdfast.domain.quantities",), quantities.parse_rate, scalars, (ValueError,)),
    "reference to a secret": Parser(("holdfast.domain.secretrefs",), secretrefs.is_reference, text, ()),
    "secret file": Parser(("holdfast.settings.secrets",), read_secret, raw),
    "envelope": Parser(("holdfast.domain.events",), events.decode_envelope, mostly(records(*ENVELOPE))),
    "envelope as data": Parser(("holdfast.domain.events",), events.read_envelope, data | records(*ENVELOPE)),
    "dead letter": Parser(
        ("holdfast.contracts.dead_letter",),
        dead_letter.DeadLetterRecord.model_validate_json,
        mostly(records("id", "stage", "code", "message", "at", "source", "event_id", "envelope", "spec", "attempts")),
        (ValidationError,),
    ),
    "delivery": Parser(
        ("holdfast.contracts.delivery",),
        delivery.DeliveryInput.model_validate_json,
        mostly(records("envelope", "spec", "sequence")),
        (ValidationError,),
    ),
    "log of attempts": Parser(("holdfast.contracts.attempts",), attempts.read_log, st.lists(data, max_size=3), ()),
    "captured request": Parser(
        ("holdfast.domain.captured",),
        lambda given: captured.judge(captured.CapturedRequest.model_validate(given), NOW),
        st.fixed_dictionaries(
            {
                "preset": st.sampled_from(sorted(PRESETS)) | text,
                "secret": text | st.fixed_dictionaries({}, optional={"hex": text, "cert_pem": text, "cert_url": text}),
            },
            optional={
                "headers": st.dictionaries(text, text | st.lists(text, max_size=2), max_size=3),
                "body": text,
                "body_base64": text,
                "method": text,
                "url": text,
                "now": st.floats() | st.integers(),
                "tolerance": st.floats(),
                "generic": records("header", "algorithm", "signed", "encoding"),
            },
        ),
        (*OURS, ValidationError),
    ),
    "configuration file": Parser(
        ("holdfast.settings.file", "holdfast.domain.sources", "holdfast.domain.triggers", "holdfast.domain.limits"),
        configured,
        documents
        | records("version", "sources", "triggers", "schedules", "gateway", "bus").map(dumped)
        | st.dictionaries(
            st.sampled_from(["a", "b"]), records("verify", "limits", "path", "event", "methods", "respond")
        )
        .map(lambda found: {"version": 1, "sources": found})
        .map(dumped)
        | st.text("version: 1\nsources{}[]&*!|>#-\"'\\ \t", max_size=80).map(lambda t: t.encode()),
    ),
    "trigger": Parser(
        ("holdfast.domain.triggers",),
        triggers.TriggerConfig.model_validate,
        records("on", "when", "run", "retry", "dead_letter"),
        (ValidationError,),
    ),
    "schedule": Parser(
        ("holdfast.domain.schedules",),
        schedules.ScheduleConfig.model_validate,
        st.fixed_dictionaries(
            {}, optional=dict.fromkeys(("cron", "every", "timezone", "start_at", "end_at", "event", "jitter"), scalars)
        ),
        (ValidationError,),
    ),
    "condition of a join": Parser(
        ("holdfast.domain.conditions",),
        conditions.parse,
        text | st.text("ab&|!() ", max_size=60) | st.just("(" * 2_000) | st.just("!" * 2_000),
    ),
    "cron of a join": Parser(
        ("holdfast.domain.cron",),
        cron.parse_cron,
        text | st.text("0123456789*/,-? monja", max_size=30) | st.just("* * * * " + "9" * 5_000),
        (ValueError,),
    ),
    "join": Parser(
        ("holdfast.domain.join_config", "holdfast.domain.triggers"),
        triggers.TriggerConfig.model_validate,
        st.fixed_dictionaries(
            {"run": st.just({"log": {}})},
            optional={
                **dict.fromkeys(("condition", "within", "reset", "reset_at", "at_end", "on", "at_most"), scalars),
                "join": st.dictionaries(st.sampled_from("ab"), st.just({"on": "x", "key": "event.id"}) | scalars),
            },
        ),
        (ValidationError,),
    ),
    "expression": Parser(
        ("holdfast.domain.expressions",),
        evaluated,
        text | st.text('event.data[]()"+-*/&|!<>=?:1a {}', max_size=60) | st.just("(" * 2_000),
    ),
    "record in the outbox": Parser(
        ("gateway.drain",),
        lambda given: drain._read(outbox_file.Spooled(1, "a", "b", given)),
        mostly(records(*ENVELOPE)),
    ),
    "file of the outbox": Parser(
        ("gateway.outbox_file",),
        opened_outbox,
        raw | raw.map(lambda rest: b"SQLite format 3\0" + rest),
        (*OURS, sqlite3.Error, OSError),
    ),
    "Retry-After": Parser(
        ("activities.answers",),
        lambda given: http.retry_after(given, now=NOW),
        st.none() | text | st.from_regex(r"(Mon|Fri), \d{1,3} (Jan|Foo) \d{1,5} \d\d:\d\d:\d\d( GMT| [+-]\d{4,5})?"),
        (),
    ),
    "reply of JetStream": Parser(
        ("holdfast.bus.errors",), errors.of_reply, mostly(records("error", "stream", "seq")), ()
    ),
    "acknowledgement": Parser(
        ("holdfast.bus.publish",),
        lambda given: publish._stored(given, "EVENTS"),
        mostly(records("error", "stream", "seq", "duplicate")),
    ),
    "reply to a look-up": Parser(("holdfast.bus.lookup",), lookup._json, mostly(records("error", "message"))),
    "message of a look-up": Parser(
        ("holdfast.bus.lookup",), lookup._raw, st.dictionaries(st.sampled_from(MESSAGE), data | text)
    ),
    "address of a message": Parser(
        ("holdfast.bus.consume",),
        acked,
        text | st.lists(st.sampled_from(["$JS", "ACK", "EVENTS", "1", "x", "²"]), max_size=12).map(".".join),
    ),
    "version of a server": Parser(("holdfast.bus.fsync",), fsync._verify_version, text | st.just("9" * 5_000)),
    "address of a subscription": Parser(
        ("gateway.confirm",),
        confirm.is_subscribe_url,
        text | st.sampled_from(["https://sns.eu.amazonaws.com/?" + "a=1&" * 40, "https://[", "https://a:x/"]),
        (),
    ),
    "file of captured requests": Parser(
        ("holdfast.cli.verify",),
        verified_file,
        mostly(st.lists(records("id", "preset", "secret", "headers", "body", "expect"), max_size=3)),
    ),
    "id of a tick": Parser(("holdfast.contracts.scheduled",), scheduled.nominal_time, text, (ValueError,)),
    "input of a workflow": Parser(
        ("workflows.inputs",),
        given_to_a_workflow,
        st.tuples(st.sampled_from([b"json/plain", b"binary/null", b"binary/plain", b"x", b"json/protobuf"]), documents),
        (),
    ),
    "record for a case": Parser(
        ("workers.escalate",),
        escalated,
        mostly(records("id", "stage", "code", "message", "at")),
        (),
    ),
    "decision": Parser(
        ("workers.decide",),
        lambda given: decide(Arrived(given, "EVENTS", 1, NOW), CompiledTriggers({})),
        mostly(records(*ENVELOPE)),
        (),
    ),
    "bytes of a redrive": Parser(("activities.redrive",), redriven, text),
    "file of a running stack": Parser(
        ("holdfast.settings.runtime",), read_stack, mostly(records("pid", "nats_url")), ()
    ),
    "credentials": Parser(("holdfast.embedded.credentials",), read_credentials, mostly(records("nats_user"))),
    **REPLIES,
    **PRESSURE,
    **WORDS,
}

EXCUSED = {
    "activities.joins": "reads the action of a trigger that the configuration has accepted",
    "holdfast.bus.audit": "reads our own records, and passes over what is none",
    "holdfast.cli.audit": "the person's own command line; fromisoformat is caught",
    "holdfast.temporal.schedule_plain": "a zone that Temporal has taken already",
    "workers.api.operations": "reads cursors and times as workers.api.queries does; Schemathesis gives it anything",
    "workers.api.queries": "Schemathesis and tests/integration/test_admin_api.py give it anything",
    "activities.oauth2": "catches what json raises; tests/unit/activities/test_http_options.py",
    "activities.own": "gives an action's model what a mapping gave, and catches its refusal",
    "holdfast.domain.registered": "holds constants of the configuration against a model, and catches its refusal",
    "holdfast.domain.mapping": "builds the settings of a mail, and catches their refusal",
    "holdfast.temporal.attributes": "makes a time of what the model of a search attribute has read already",
    "activities.slices": "reads its own heartbeat, and begins anew where it cannot",
    "activities.custody": "reads the records of UNMATCHED as holdfast.bus.lookup does",
    "holdfast.cli.backtest": "reads an operator's --since, and events as the dispatcher does; both catch what is wrong",
    "activities.stops": "reads the memo that `schedules apply` wrote",
    "holdfast.cli.schedule_page": "shows zones that the configuration, or Temporal, has accepted",
    "holdfast.domain.casebook": "reads what the run before it packed",
    "holdfast.domain.occurrences": "its only zone is UTC",
    "holdfast.temporal.ended_runs": "reads what Temporal says of a schedule's run, and the sweep catches",
    "holdfast.temporal.run_list": "reads search attributes, which Temporal has typed",
    "holdfast.temporal.missed_ticks": "reads what the run before it packed",
    "holdfast.temporal.specs": "reads schedules that Temporal has accepted",
    "workers.body_janitor": "reads dead letters as holdfast.bus.lookup does, and base64 that it catches",
    "workflows.outcomes": "reads what the activity `deliver` has written into its own failure",
    "workflows.calls": "makes a time of what the model of a search attribute has read already",
    "holdfast.cli.demo.stage": "reads the answers of the gateway that the demo has started itself",
    "holdfast.embedded.versions": "reads its own file as credentials does; the rest is the output of our own programs",
    "holdfast.telemetry.logs": "makes a time of the clock's own number",
}
"""Modules that call what parses, and what they are given instead of foreign input."""
