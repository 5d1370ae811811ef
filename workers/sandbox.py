"""The only list of modules that the workflow sandbox passes through: without state, and too slow to load for each run.

The sandbox stays on: each run loads its workflow class anew and is watched for what is not deterministic. What stands
here is not watched, so it is held to the rules by tests (`tests/architecture`). Loading the workflows' own steps anew
cost 8 ms of processor time per run, a third of all that a delivery takes.
"""

from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner, SandboxRestrictions

PASSED_THROUGH = (
    "annotated_types",
    "pydantic",
    "pydantic_core",
    "typing_extensions",
    "typing_inspection",
    "holdfast.clock",
    "holdfast.contracts",
    "holdfast.domain",
    "holdfast.errors",
    "holdfast.ids",
    "workflows.attempts",
    "workflows.calls",
    "workflows.calls_join",
    "workflows.calls_queues",
    "workflows.calls_sweep",
    "workflows.case",
    "workflows.escalate",
    "workflows.hold",
    "workflows.inputs",
    "workflows.moves",
    "workflows.narrate",
    "workflows.operation",
    "workflows.narrate_escalation",
    "workflows.notices",
    "workflows.outcomes",
    "workflows.policies",
    "workflows.records",
    "workflows.redrives",
    "workflows.steps",
    "workflows.supervise",
    "workflows.windows",
    "workflows.tell",
)


def sandbox() -> SandboxedWorkflowRunner:
    """Return the runner that worker and replayer share."""
    return SandboxedWorkflowRunner(restrictions=SandboxRestrictions.default.with_passthrough_modules(*PASSED_THROUGH))
