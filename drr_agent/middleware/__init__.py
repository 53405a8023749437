"""The loop as middleware of a LangChain agent: `create_agent(model, tools, middleware=[DRRMiddleware(dm=…)])`.

Needs the extra `agents`; without it the import says so.
"""

from drr_agent.errors import require_extra

require_extra("langchain.agents", extra="agents", purpose="`drr_agent.middleware`")

from drr_agent.middleware.agent import DRRMiddleware  # noqa: E402 - after the clearer of two errors
from drr_agent.middleware.asking import AGENT_PROMPTS  # noqa: E402

__all__ = ["AGENT_PROMPTS", "DRRMiddleware"]
