"""An action of one's own: `holdfast.yaml` beside it lists this file under `actions`."""

from pydantic import BaseModel, ConfigDict, Field

from holdfast.actions import ActionContext, Refused, TryAgain, action


class Customer(BaseModel):
    """What the action needs. `holdfast check` holds the trigger's `args` against it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    email: str = Field(pattern=r"^[^@\s]+@[^@\s]+$")
    name: str = ""
    plan: str = "free"


class Registered(BaseModel):
    """What it gives back: the delivery's result, and `steps.NAME.result` for later steps."""

    customer: str
    created: bool


@action("crm.upsert")
async def upsert(given: Customer, context: ActionContext) -> Registered:
    """Create or update a customer.

    It may run twice for one event, after a lost answer: hand `context.delivery` on, it is the same each time.
    """
    if given.email.endswith("@example.invalid"):
        raise Refused("the CRM takes no such address")  # no further attempt can help: a dead letter
    if given.plan == "unknown":
        raise TryAgain("the plan is not there yet")  # by the trigger's `retry`, like every other error
    return Registered(customer=f"cus_{given.email.partition('@')[0]}", created=context.attempt == 1)


@action("crm.note")
def note(given: Customer) -> None:
    """Do something that blocks: a function that is not async runs in a thread."""
