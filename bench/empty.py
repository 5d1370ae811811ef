"""The baseline of the gateway: the same server and framework with a handler that does nothing."""

import sys

import uvicorn
from fastapi import FastAPI

app = FastAPI()


@app.post("/hooks/{source}", status_code=202)
async def hook(source: str) -> dict[str, str]:
    """Answer as if accepted."""
    return {"status": "accepted", "source": source}


if __name__ == "__main__":
    uvicorn.run(
        app, host="127.0.0.1", port=int(sys.argv[1]), access_log=False, server_header=False, log_level="warning"
    )
