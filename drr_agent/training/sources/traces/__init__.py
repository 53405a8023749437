"""Traces of any agent: our trace log, LangSmith, OpenTelemetry, Langfuse and MLflow.

Whatever store they come from, a `drr` run that a trace holds is that run; of other agents each question with its answer
is an attempt (`calls`). LangChain's run trees go by `run_trees`, everybody else's spans by `spans`.
"""
