"""drr ask: one question through the loop, turn by turn."""

from dataclasses import replace
from typing import Annotated, Any

import typer
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import HumanMessage

from drr_agent.cli import options
from drr_agent.cli.app import app
from drr_agent.cli.console import errors, out, print_json
from drr_agent.cli.inputs import open_dm, open_reasoner, telling_uncertified, wordings
from drr_agent.errors import ConfigError
from drr_agent.graphs import create_drr_graph
from drr_agent.graphs.drr import default_policy
from drr_agent.policy import ConsensusPolicy, Policy
from drr_agent.reasoners.local import LocalReasoner
from drr_agent.state import Run


@app.command()
def ask(
    question: Annotated[str, typer.Argument(help="The question.")],
    reasoner: options.ReasonerSpec = "pocket",
    dm: options.DMPath = None,
    threshold: Annotated[
        float | None, typer.Option(help="Accept at this probability; by default what calibration chose.")
    ] = None,
    max_turns: Annotated[
        int | None,
        typer.Option(min=1, help="Most think calls; by default as many as the DM's certificate is about, else 4."),
    ] = None,
    feedback: options.FeedbackName = "fresh",
    parser: options.ParserName = "answer",
    base_url: options.BaseUrl = None,
    temperature: options.Temperature = None,
    max_tokens: options.MaxTokens = None,
    timeout: options.Timeout = None,
    logprobs: options.Logprobs = None,
    ask_confidence: options.AskConfidence = False,
    json: options.AsJson = False,
    quiet: options.Quiet = False,
) -> None:
    """Ask a question, and watch the Reasoner think until the DM believes it.

    Without `--dm`, the pocket Reasoner gets the DM that ships; any other Reasoner is judged by the agreement of its
    attempts alone, until you train a DM on its log.

        drr ask "Ava has 3 bags with 12 marbles each. She gives 9 to Ben. How many marbles does Ava have?"
    """
    if not question.strip():
        raise ConfigError("`QUESTION` must hold a question, got nothing; put it in quotes")
    model = open_reasoner(
        reasoner,
        base_url=base_url,
        temperature=temperature,
        max_tokens=max_tokens,
        timeout=timeout,
        logprobs=logprobs,
        quiet=quiet,
    )
    name = "pocket" if dm is None and reasoner == "pocket" else dm
    judge = None if name is None else open_dm(name)
    with telling_uncertified():
        graph = create_drr_graph(
            model,
            judge,
            policy=None if threshold is None else _at(threshold, judge),
            max_turns=max_turns,
            feedback=feedback,
            parser=parser,
            prompts=wordings(ask_confidence=ask_confidence),
        )
    show = not json and not quiet
    _load(model, show=show)
    run = _watch(graph, question, show=show)
    if json:
        print_json(run)
    else:
        _print_outcome(run)
    raise typer.Exit(0 if run["answer"] is not None else 1)


def _at(threshold: float, judge: Any) -> Policy:
    """The DM's own policy at another threshold.

    Raises:
        ConfigError: it has none.
    """
    policy = default_policy(judge)
    if not isinstance(policy, ConsensusPolicy):
        raise ConfigError(
            f"`--threshold` is of a policy that accepts from one, got {threshold:g} for a DM that has learned when to "
            "stop; drop it, or say what a right answer is worth: `drr calibrate --worth`"
        )
    return replace(policy, threshold=threshold)


def _load(model: BaseChatModel, *, show: bool) -> None:
    """A Reasoner of this process is loaded before it is asked, so that no turn seems to take that long."""
    if isinstance(model, LocalReasoner):
        if show:
            errors.print("loading the Reasoner …", style="dim", highlight=False)
        model.load()


def _watch(graph: Any, question: str, *, show: bool) -> Run:
    """Run the graph and print each turn as it happens."""
    given = {"messages": [HumanMessage(question)]}
    for mode, event in graph.stream(given, stream_mode=["custom", "values"]):
        if mode == "values":
            values = event
        elif show:
            _print_event(event)
    run: Run = values["drr"]
    return run


def _print_event(event: dict[str, Any]) -> None:
    if event["type"] == "drr.think":
        errors.print(f"turn {event['turn']} …", style="dim", highlight=False)
    elif event["type"] == "drr.score":
        answer = "no answer" if event["answer"] is None else f"answer {event['answer']}"
        score = "not scored" if event["score"] is None else f"score {event['score']:.2f}"
        trouble = event["error"] or event["score_error"]
        out.print(f"turn {event['turn']}  {answer}  {score}", end="", highlight=False)
        out.print(f"  {trouble}" if trouble else "", end="", style="red", highlight=False)
    elif event["type"] == "drr.decide":
        best = "" if event["best"] is None else f"  best so far {event['best']}, {_chance(event['confidence'])}"
        out.print(f"{best}  → {event['stop_reason'] or 'think again'}", highlight=False)


def _print_outcome(run: Run) -> None:
    if run["answer"] is None:
        errors.print(f"no answer ({run['stop_reason']})", highlight=False)
        return
    chosen = run["attempts"][run["choice"] or 0]
    tokens = run["usage"]["input_tokens"] + run["usage"]["output_tokens"]
    out.print(f"\n{chosen['rationale']}", highlight=False)
    out.print(run["answer"], style="bold", highlight=False)
    calls = run["usage"]["calls"]
    spent = f"{calls} call{'s' if calls != 1 else ''}, {tokens:,} tokens, {run['seconds']:.1f} s"
    end = "accepted" if run["accepted"] else f"not accepted ({run['stop_reason']})"
    errors.print(f"{end}, {_chance(run['score'])}, after {spent}", style="dim", highlight=False)


def _chance(confidence: float | None) -> str:
    return "P(right) unknown" if confidence is None else f"P(right) {confidence:.2f}"
