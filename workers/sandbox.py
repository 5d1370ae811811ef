"""The only list of modules that the workflow sandbox passes through: pure, and too slow to load for every workflow.

The sandbox stays on; everything not listed here is loaded anew for each run, and may do nothing nondeterministic.
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
)


def sandbox() -> SandboxedWorkflowRunner:
    """Return the runner that worker and replayer share."""
    return SandboxedWorkflowRunner(restrictions=SandboxRestrictions.default.with_passthrough_modules(*PASSED_THROUGH))
