"""Traces of any agent: our trace log, LangSmith, OpenTelemetry, Langfuse and MLflow.

Each store's reader turns what it holds into spans (`span_tree`), LangChain's run trees too (`run_trees`). What of a
trace is an attempt is said once, for all of them, in `spans`: a `drr` run that it holds is that run (`drr_runs`), of
other agents each question with its answer is an attempt (`calls`). Whose word a judgment is, is said in `verdicts`, and
which answer it is about in `opinions`.
"""
