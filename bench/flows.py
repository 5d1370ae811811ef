"""The workflows of the baselines, in a file that is as cheap to load as they are."""

from datetime import timedelta

from temporalio import workflow


@workflow.defn(name="BareLocal")
class BareLocal:
    """One local activity."""

    @workflow.run
    async def run(self, body: str) -> int:
        """Run it."""
        result: int = await workflow.execute_local_activity(
            "bench_post", body, start_to_close_timeout=timedelta(seconds=10)
        )
        return result


@workflow.defn(name="NaiveRegular")
class NaiveRegular:
    """One regular activity."""

    @workflow.run
    async def run(self, body: str) -> int:
        """Run it."""
        result: int = await workflow.execute_activity("bench_post", body, start_to_close_timeout=timedelta(seconds=10))
        return result
