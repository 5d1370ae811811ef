"""What worker and replayer share: the same workflows, sandbox and failure types, or replay would prove nothing."""

from dataclasses import dataclass, field

from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.worker import Replayer, WorkflowRunner

from workers.sandbox import sandbox
from workflows.policies import FAILURE_TYPES
from workflows.registry import WORKFLOWS


@dataclass(frozen=True, slots=True)
class WorkflowOptions:
    """How workflow code is run."""

    workflows: tuple[type, ...] = tuple(WORKFLOWS)
    workflow_runner: WorkflowRunner = field(default_factory=sandbox)
    workflow_failure_exception_types: tuple[type[BaseException], ...] = tuple(FAILURE_TYPES)


def replayer() -> Replayer:
    """Return a replayer that runs workflow code exactly as the worker does."""
    options = WorkflowOptions()
    return Replayer(
        workflows=options.workflows,
        workflow_runner=options.workflow_runner,
        workflow_failure_exception_types=options.workflow_failure_exception_types,
        data_converter=pydantic_data_converter,
    )
