"""The only list of modules that the workflow sandbox passes through: pure, and too slow to load for every workflow.

The sandbox stays on; everything not listed here is loaded anew for each run, and may do nothing nondeterministic.
The modules that workflows share are passed through as well: they hold no state, the import rules keep clocks, chance
and I/O out of them, and loading them for every run costs more CPU (12 of 22 ms) than all the rest of a delivery. The
modules that define workflows are not.
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
    "workflows.calls",
    "workflows.escalate",
    "workflows.inputs",
    "workflows.narrate",
    "workflows.outcomes",
    "workflows.policies",
    "workflows.records",
    "workflows.supervise",
)


def sandbox() -> SandboxedWorkflowRunner:
    """Return the runner that worker and replayer share."""
    return SandboxedWorkflowRunner(restrictions=SandboxRestrictions.default.with_passthrough_modules(*PASSED_THROUGH))
