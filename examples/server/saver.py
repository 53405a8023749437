"""Checkpoints of the server in one SQLite file, for `drr harvest`."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver


@asynccontextmanager
async def make_saver() -> AsyncIterator[AsyncSqliteSaver]:
    """The saver, as long as the server runs."""
    async with AsyncSqliteSaver.from_conn_string(os.environ.get("DRR_CHECKPOINTS", "checkpoints.sqlite")) as saver:
        await saver.setup()  # the server may delete from a database that nothing was written to
        yield saver
