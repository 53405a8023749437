"""Options that several commands share."""

from pathlib import Path
from typing import Annotated, Literal

import typer

ReasonerSpec = Annotated[
    str,
    typer.Option(
        "--reasoner",
        "-r",
        help="Who thinks: `pocket` (ships with the package, offline), `local:PATH_OR_ID`, `openai:MODEL`, or "
        "`PROVIDER:MODEL` of another vendor. Keys come from the environment.",
    ),
]
BaseUrl = Annotated[
    str | None,
    typer.Option(help="An OpenAI-compatible server for `openai:MODEL`: vLLM, Ollama, llama.cpp, `transformers serve`."),
]
Temperature = Annotated[float | None, typer.Option(help="Sampling temperature; by default the model's own.")]
MaxTokens = Annotated[int | None, typer.Option(help="Most tokens of a reply; by default the model's own.")]
Timeout = Annotated[float | None, typer.Option(help="Seconds a call may take, for Reasoners behind an API.")]
Logprobs = Annotated[
    bool | None,
    typer.Option(
        help="Ask for token log probabilities, the best signal there is; some APIs refuse. By default for `pocket`, "
        "`local:` and `openai:`.",
    ),
]
AskConfidence = Annotated[
    bool,
    typer.Option(
        "--ask-confidence",
        help="Ask the Reasoner to say how sure it is, which is a signal; a DM is for the wording that it was trained "
        "on, so ask always or never.",
    ),
]
DatasetFolder = Annotated[Path, typer.Argument(help="A dataset made by `drr harvest`.")]
DMPath = Annotated[str | None, typer.Option("--dm", help="A DM folder, or `pocket` for the one that ships.")]
MaxTurns = Annotated[int, typer.Option(min=1, help="Most think calls a question.")]
MaxTurnsOrCertified = Annotated[
    int | None,
    typer.Option(
        min=1, help="Most think calls a question; by default as many as the DM is certified for, and 8 without that."
    ),
]
FeedbackName = Annotated[
    str,
    typer.Option("--feedback", help="What a rejected Reasoner is told: `fresh` (nothing), `history` or `contrast`."),
]
ParserName = Annotated[
    str, typer.Option("--parser", help="How the answer is read: answer, number, choice, message or structured.")
]
GraderName = Annotated[
    str, typer.Option("--grader", help="Answer equality: auto, exact, number, choice, or math (extra `math`).")
]
Concurrency = Annotated[int, typer.Option(min=1, help="Most questions at a time.")]
Seed = Annotated[int, typer.Option(help="Seed of everything random here.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON value for machines instead of text.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")]
Mapping = Annotated[
    list[str] | None,
    typer.Option(
        "--map",
        help="ROLE=COLUMN for files made elsewhere, such as `target=gold`; ROLE==VALUE for what all rows share, as "
        "`turn==2`; repeat for more.",
    ),
]
Where = Annotated[
    list[str] | None,
    typer.Option("--where", help="Keep rows for which this holds, such as `model=gemma-2-2b-it` or `tokens<512`."),
]
SourceFormat = Annotated[
    str | None,
    typer.Option(
        "--format", help="The format of the sources, where their content does not tell it; a wrong one lists them all."
    ),
]
ReplyParser = Annotated[
    str | None,
    typer.Option(
        "--parser",
        help="How the answer is read out of a reply, in traces and in tables without a column of answers: answer, "
        "number, choice or message. By default the whole reply is the answer.",
    ),
]
TraceUnit = Annotated[
    Literal["auto", "root", "call"],
    typer.Option(
        "--unit",
        help="What of a plain trace is an attempt: the root's question and final answer, each chat-model call, or the "
        "root where it has both and the calls elsewhere.",
    ),
]
RedactPatterns = Annotated[
    list[str] | None,
    typer.Option(
        "--redact", help="A regular expression to replace in every text, beside what looks like a secret; repeatable."
    ),
]
CaptureLevel = Annotated[
    Literal["full", "digest"], typer.Option("--capture", help="Keep texts, or a hash of each in its place.")
]
OutFolder = Annotated[Path, typer.Option("--out", "-o", help="The folder to write.")]
