"""drr label: a human, an LLM judge, or the agreement of attempts says which attempts are right."""

from collections.abc import Collection
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from tqdm import tqdm

from drr_agent.cli import options
from drr_agent.cli.app import app
from drr_agent.cli.asking import ask_about, require_answers
from drr_agent.cli.console import errors, out, print_json
from drr_agent.cli.inputs import open_dm, open_reasoner
from drr_agent.errors import ConfigError, DataError
from drr_agent.grading import get_grader
from drr_agent.policy import ConsensusPolicy
from drr_agent.training.behaviors import SPLITS, Split
from drr_agent.training.dataset import Dataset
from drr_agent.training.labels.agreement import share_of_weak
from drr_agent.training.labels.book import Merged, merge_label_log
from drr_agent.training.labels.judge import RUBRIC, Judge
from drr_agent.training.labels.judging import JudgeResult
from drr_agent.training.labels.kappa import describe_kappa
from drr_agent.training.labels.log import LABELS
from drr_agent.training.labels.machines import Labelled, label_by_agreement, label_by_judge
from drr_agent.training.labels.queue import LabelQueue, Session, answered_by, logged_score, score_by


@app.command()
def label(
    dataset: Annotated[Path, typer.Argument(help="A dataset made by `drr harvest`.")],
    order: Annotated[
        Literal["informative", "random"],
        typer.Option(
            help="`informative` asks first what is most worth knowing, to train; `random` asks question by question as "
            "if drawn by lot, to certify and measure."
        ),
    ] = "informative",
    dm: options.DMPath = None,
    threshold: Annotated[
        float | None,
        typer.Option(min=0.0, max=1.0, help="Where the loop decides; by default what calibration chose for the DM."),
    ] = None,
    name: Annotated[
        str | None, typer.Option("--as", help="Who labels, so that several people's labels are told apart.")
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Most attempts this time.")] = None,
    split: Annotated[
        list[str] | None, typer.Option(help=f"Of one split alone: {', '.join(SPLITS)}; repeat for more.")
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="Show again what you skipped before.")] = False,
    judge: Annotated[
        str | None, typer.Option(help="A Reasoner that labels in your place, such as `openai:gpt-4o-mini`.")
    ] = None,
    rubric: Annotated[Path | None, typer.Option(help="A text file that tells the judge what is correct.")] = None,
    check: Annotated[
        int, typer.Option(min=0, help="Attempts with a label that the judge judges first, to be compared.")
    ] = 200,
    agreement: Annotated[
        bool, typer.Option("--agreement", help="Label by the agreement of attempts: weak labels, marked as such.")
    ] = False,
    min_votes: Annotated[int, typer.Option(min=2, help="Fewest attempts whose agreement counts.")] = 3,
    min_share: Annotated[float, typer.Option(help="Least share of them with the same answer.")] = 0.7,
    grader: options.GraderName = "auto",
    concurrency: options.Concurrency = 16,
    base_url: options.BaseUrl = None,
    temperature: options.Temperature = None,
    max_tokens: options.MaxTokens = None,
    timeout: options.Timeout = None,
    json: options.AsJson = False,
    quiet: options.Quiet = False,
) -> None:
    """Show unlabelled attempts one by one, the most informative first, and take y, n or s (skip); b takes back, q ends.

    Such labels train best, and say little of what nobody was asked about. Label by `--order random` for a certificate:
    question by question, always in the same random order, so that a later session goes on in it.

    Each answer is kept at once in the dataset's `labels.jsonl`, and merged at the end or at the next start. Other
    programs may append to that file too. With `--judge` or `--agreement` nobody is asked.

        drr label data --dm dm --as ann
        drr label data --order random --split calibration
        drr label data --judge openai:gpt-4o-mini --rubric rubric.txt
    """
    if rubric is not None and judge is None:
        raise ConfigError("`--rubric` tells a judge what is correct, got it without one; name a Reasoner by `--judge`")
    _refuse_scores(order, dm, threshold)
    splits = _splits(split or ())
    merged, done = merge_label_log(dataset), _Done()
    if agreement:
        done.machines.append(
            label_by_agreement(
                dataset, splits=splits, grader=get_grader(grader), min_votes=min_votes, min_share=min_share
            )
        )
    if judge is not None:
        model = open_reasoner(
            judge,
            base_url=base_url,
            temperature=temperature,
            max_tokens=max_tokens,
            timeout=timeout,
            logprobs=False,
        )
        labelled, done.judged = label_by_judge(
            dataset,
            Judge(model=model, rubric=_read_rubric(rubric)),
            splits=splits,
            check=check,
            limit=limit,
            concurrency=concurrency,
            progress=not quiet,
        )
        done.machines.append(labelled)
    if judge is None and not agreement:
        who = _who(name)
        with _queue(merged.dataset, who, splits, order, dm=dm, threshold=threshold, every=every, quiet=quiet) as queue:
            done.by_hand = _by_hand(queue, who, dataset, limit=limit, json=json)
    _show(merge_label_log(dataset), done, json=json)


@dataclass(kw_only=True)
class _Done:
    """What this call did."""

    by_hand: dict[str, int] | None = None
    machines: list[Labelled] = field(default_factory=list)
    judged: JudgeResult | None = None

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        judged = self.judged
        calls = {} if judged is None else {"opinions": judged.opinions, "failed": judged.failed, "usage": judged.usage}
        return {
            "by_hand": self.by_hand,
            "machines": [
                {"source": machine.source, "values": machine.values, "kappa": asdict(machine.kappa)}
                for machine in self.machines
            ],
            "judge": calls or None,
        }


def _queue(
    dataset: Dataset,
    who: str,
    splits: tuple[Split, ...],
    order: Literal["informative", "random"],
    *,
    dm: str | None,
    threshold: float | None,
    every: bool,
    quiet: bool,
) -> LabelQueue:
    """What is left to be judged, in order."""
    dataset.require_texts()
    require_answers()
    rows = tqdm(dataset.iter_rows(*splits), desc="look through", unit=" rows", disable=True if quiet else None)
    done = () if every else answered_by(dataset.path / LABELS, who)
    if order == "random":
        return LabelQueue(rows, threshold=None, done=done)
    model = None if dm is None else open_dm(dm)
    stored = None if model is None else model.consensus
    policy = ConsensusPolicy() if stored is None else stored
    return LabelQueue(
        rows,
        threshold=policy.threshold if threshold is None else threshold,
        scorer=logged_score if model is None else score_by(model),
        done=done,
    )


def _by_hand(queue: LabelQueue, who: str, dataset: Path, *, limit: int | None, json: bool) -> dict[str, int]:
    """Ask, and count the answers."""
    session = Session(log=dataset / LABELS, source=who)
    count = queue.count if limit is None else min(limit, queue.count)
    ask_about(islice(queue, count), session, errors if json else out, count=count)
    left = queue.count - session.labelled - session.skipped
    return {"labelled": session.labelled, "skipped": session.skipped, "left": left}


def _refuse_scores(order: str, dm: str | None, threshold: float | None) -> None:
    for option, value in (("--dm", dm), ("--threshold", threshold)):
        if order == "random" and value is not None:
            raise ConfigError(f"`{option}` is for the informative order, got {value!r} with `--order random`; drop one")


def _who(name: str | None) -> str:
    if name is not None and not (name.strip() and name.isprintable()):
        raise ConfigError(f"`--as` takes a name, got {name!r}; write letters")
    return "human" if name is None else f"human:{name.strip()}"


def _splits(names: Collection[str]) -> tuple[Split, ...]:
    for name in names:
        if name not in SPLITS:
            raise ConfigError(f"`--split` takes {', '.join(SPLITS)}, got {name!r}; name one of these")
    return tuple(split for split in SPLITS if split in names)


def _read_rubric(file: Path | None) -> str:
    try:
        return RUBRIC if file is None else file.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise DataError(f"expected a rubric as UTF-8 text at {str(file)!r}, got {error}; convert it") from error


def _show(merged: Merged, done: _Done, *, json: bool) -> None:
    """Say what was done, and what is in the dataset now."""
    manifest = merged.dataset.manifest
    weak = share_of_weak(manifest.label_sources)
    if json:
        unread = {"unknown": merged.unknown, "unreadable": len(merged.rejects)}
        labels = {"conflicts": manifest.conflicts, "weak": weak, "label_sources": manifest.label_sources}
        print_json({**done.as_dict(), **unread, **labels})
        return
    for reject in merged.rejects:
        errors.print(
            f"{reject.path} line {reject.line} is no label: {reject.reason}",
            style="yellow",
            highlight=False,
            soft_wrap=True,
        )
    if merged.unknown:
        errors.print(
            f"{merged.unknown} lines of the log are about no attempt here",
            style="yellow",
            highlight=False,
            soft_wrap=True,
        )
    if done.by_hand is not None:
        out.print(
            "{labelled} labelled, {skipped} skipped, {left} left".format(**done.by_hand),
            highlight=False,
            soft_wrap=True,
        )
    if done.judged is not None and done.judged.failed:
        errors.print(f"{done.judged.failed} calls failed; the same command makes them again", style="yellow")
    for machine in done.machines:
        counts = ", ".join(f"{count} {value}" for value, count in sorted(machine.values.items())) or "nothing new"
        out.print(f"{machine.source}: {counts}; {describe_kappa(machine.kappa)}", highlight=False, soft_wrap=True)
    share = "" if weak is None else f", {weak:.1%} of the labels weak"
    out.print(f"{manifest.conflicts} conflicts{share} → {merged.dataset.path}", highlight=False, soft_wrap=True)
