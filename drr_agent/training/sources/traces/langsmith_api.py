"""A LangSmith project, read over its API: `langsmith://PROJECT`, by name or id, with the key in the environment.

A project that is harvested every day need not be fetched as a whole: `langsmith://PROJECT?since=2026-01-31` reads the
traces that began then or later. The API gives the later runs of earlier traces too, without their roots. They are
passed over, since an earlier harvest has their attempts, and so is what was said of them meanwhile.
"""

import os
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, unquote
from uuid import UUID

from drr_agent.errors import ConfigError, DataError, MissingExtraError, http_status
from drr_agent.parsing import Parser, WholeMessage
from drr_agent.redaction import redact
from drr_agent.training.drops import Flaw
from drr_agent.training.sources.protocol import LoggedRun, LostEntry, Unit
from drr_agent.training.sources.traces.langsmith import shelve
from drr_agent.training.sources.traces.run_trees import read_trees
from drr_agent.training.sources.traces.trace_shelf import TraceShelf
from drr_agent.training.sources.traces.trace_tree import Tree
from drr_agent.training.times import to_utc

SCHEME = "langsmith://"
_HOSTED = "https://api.smith.langchain.com"
_FIELDS = (
    *("ID", "NAME", "RUN_TYPE", "PARENT_RUN_IDS", "TRACE_ID", "DOTTED_ORDER", "THREAD_ID"),
    *("START_TIME", "END_TIME", "ERROR", "INPUTS", "OUTPUTS", "EXTRA", "METADATA", "FEEDBACK_STATS"),
)
_EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
"""Without a time the API gives the last day alone."""
_MOST_PER_PAGE = 1_000
_RUNS_PER_FEEDBACK_PAGE = 100
_FEEDBACK_PER_PAGE = 100
"""As the SDK asks for it."""
_RETRIES = 6
"""Queries are limited to a few in ten seconds; the SDK waits as long as it is told to, or ever longer."""


class _Api(NamedTuple):
    """LangSmith, in its two clients: the one queries runs, the other knows projects and feedback."""

    server: str
    """Its address, without passwords."""
    runs: Any
    client: Any


@dataclass(frozen=True, kw_only=True)
class LangSmithApiReader:
    """A project's runs, with the feedback on them.

    The key is read from LANGSMITH_API_KEY, the server from LANGSMITH_ENDPOINT, as everywhere with LangSmith.
    """

    location: str
    """`langsmith://PROJECT`: its name (percent-encoded where need be) or its id; and after `?since=` an ISO 8601 time,
    for those traces alone that began then or later."""
    parser: Parser = field(default_factory=WholeMessage)
    """How a plain agent's answer is read out of its reply."""
    unit: Unit = "auto"
    page_size: int = 200
    """Runs a request; at most 1000."""
    kind: str = "langsmith"

    def __post_init__(self) -> None:
        """Check the settings."""
        if not self.location.startswith(SCHEME) or not self.project:
            raise ConfigError(f"`location` must be {SCHEME}PROJECT, got {self.location!r}")
        if self._options.keys() - {"since"}:
            raise ConfigError(f"`location` may have `since` after its `?`, got {', '.join(self._options)}")
        if "since" in self._options and to_utc(self._options["since"]) is None:
            raise ConfigError(f"`since` must be a time, such as 2026-01-31T00:00:00Z, got {self._options['since']!r}")
        if not 1 <= self.page_size <= _MOST_PER_PAGE:
            raise ConfigError(f"`page_size` must be between 1 and {_MOST_PER_PAGE}, got {self.page_size!r}")

    @property
    def project(self) -> str:
        """The project's name or id."""
        return unquote(self.location.removeprefix(SCHEME).partition("?")[0]).strip("/")

    @property
    def _options(self) -> dict[str, str]:
        return dict(parse_qsl(self.location.partition("?")[2], keep_blank_values=True))

    def expected(self) -> int | None:
        """Unknown: the spans of a trace may stand anywhere."""
        return None

    def entries(self) -> Iterator[LoggedRun | LostEntry]:
        """Every run, trace by trace, after all were fetched.

        Raises:
            DataError: there is no key or no such project, or LangSmith refuses or cannot be reached.
            MissingExtraError: the installed SDK is too old.
        """
        shelf = TraceShelf()
        try:
            with _connect(self.project) as api:
                yield from self._fetch(api, shelf)
            yield from read_trees(self._trees(shelf), parser=self.parser, unit=self.unit)
        finally:
            shelf.close()

    def _trees(self, shelf: TraceShelf) -> Iterator[Tree | LostEntry]:
        since = to_utc(self._options.get("since"))
        for tree in shelf.trees():
            if since is None or isinstance(tree, LostEntry) or not _is_cut_off(tree, since):
                yield tree

    def _fetch(self, api: _Api, shelf: TraceShelf) -> Iterator[LostEntry]:
        judged: list[str] = []
        for run in self._runs(api):
            if not isinstance(run, dict):
                yield LostEntry("a page of runs", Flaw("unreadable", f"an item that is {type(run).__name__}"))
                continue
            place = f"run {run.get('id')}"
            yield from shelve(shelf, run, place)
            judged += [run["id"]] if run.get("feedback_stats") and isinstance(run.get("id"), str) else []
            if len(judged) == _RUNS_PER_FEEDBACK_PAGE:
                yield from _fetch_feedback(api, shelf, judged)
                judged = []
        yield from _fetch_feedback(api, shelf, judged)

    def _runs(self, api: _Api) -> Iterator[Any]:
        try:
            found = api.runs.runs.query(
                project_ids=[_project_id(api, self.project)],
                min_start_time=to_utc(self._options.get("since", _EARLIEST)),
                page_size=self.page_size,
                selects=list(_FIELDS),
            )
            for run in _paged(found, api.server):
                yield run.to_dict(mode="json", warnings=False) if hasattr(run, "to_dict") else run
        except DataError:
            raise
        except (TypeError, AttributeError, ValueError) as error:  # the SDK trusts what it is sent
            raise _refusal(api.server, f"a reply of another form ({type(error).__name__})") from None


def _is_cut_off(tree: Tree, since: str) -> bool:
    """Whether a trace has no root here because it began before a time, which its dotted order tells."""
    first = datetime.fromisoformat(since).strftime("%Y%m%dT%H%M%S%fZ")
    return all(run["parent"] is not None for run in tree.runs) and min(run["order"] for run in tree.runs) < first


def _paged(page: Any, server: str) -> Iterator[Any]:
    """The items of a page and of those after it.

    Raises:
        DataError: a page goes on where one before went on: there would be no end.
    """
    cursors: set[str] = set()
    while True:
        yield from page.items
        if not page.has_next_page():
            return
        if page.next_cursor in cursors:
            raise _refusal(server, "a cursor that it gave before")
        cursors.add(page.next_cursor)
        page = page.get_next_page()


def _fetch_feedback(api: _Api, shelf: TraceShelf, run_ids: list[str]) -> Iterator[LostEntry]:
    """The records behind the sums that the runs carry: only they know times and corrections."""
    try:
        found = list(_finite(api.client.list_feedback(run_ids=run_ids), api.server)) if run_ids else []
    except DataError:
        raise
    except (TypeError, ValueError) as error:  # one that the SDK does not take costs those it came with
        yield LostEntry("a page of feedback", Flaw("unreadable", f"{type(error).__name__} of the SDK"))
        return
    for feedback in found:
        yield from shelve(shelf, feedback.model_dump(mode="json"), f"feedback {feedback.id}")


def _finite(found: Iterable[Any], server: str) -> Iterator[Any]:
    """The records; single ones may come twice, where feedback is given meanwhile and pages overlap.

    Raises:
        DataError: a page was given before as a whole: there would be no end.
    """
    seen: set[UUID] = set()
    again = 0
    for feedback in found:
        again = again + 1 if feedback.id in seen else 0
        if again == _FEEDBACK_PER_PAGE:
            raise _refusal(server, "a page of feedback that it gave before")
        seen.add(feedback.id)
        yield feedback


def _project_id(api: _Api, project: str) -> str:
    """Its id, also of a project that is named by it: an unknown one would have no runs, without a word."""
    try:
        named = {"project_id": str(UUID(project))}
    except ValueError:
        named = {"project_name": project}
    return str(api.client.read_project(**named).id)


@contextmanager
def _connect(project: str) -> Iterator[_Api]:
    """Both clients, and their errors as ours."""
    try:
        from langsmith import Client, Langsmith, LangsmithError
        from langsmith.utils import LangSmithError, LangSmithNotFoundError
    except ImportError as error:
        raise MissingExtraError(f"`{SCHEME}` needs a newer `langsmith`: pip install -U langsmith") from error
    key, address, tenant = _setting("API_KEY"), _setting("ENDPOINT") or _HOSTED, _setting("WORKSPACE_ID")
    if key is None:
        raise DataError(
            "expected LangSmith's key in LANGSMITH_API_KEY, found none; set it, and LANGSMITH_ENDPOINT if need be"
        )
    base, server = address.rstrip("/").removesuffix("/v1").removesuffix("/api"), redact(address)
    try:
        with (
            closing(Client(api_url=address, api_key=key, auto_batch_tracing=False)) as client,
            Langsmith(api_key=key, base_url=base, tenant_id=tenant, max_retries=_RETRIES) as runs,
        ):
            yield _Api(server, runs, client)
    except LangSmithNotFoundError:
        raise DataError(f"expected a project {project!r} at {server!r}, found none; check both") from None
    except (LangsmithError, LangSmithError, OSError) as error:
        status = http_status(error)
        said = type(error).__name__ if status is None else f"{type(error).__name__}, status {status}"
        raise _refusal(server, said) from None


def _setting(name: str) -> str | None:
    """What the environment says, under the new name or the old."""
    return os.environ.get(f"LANGSMITH_{name}") or os.environ.get(f"LANGCHAIN_{name}") or None


def _refusal(server: str, said: str) -> DataError:
    """An error of ours; never with the words of theirs, which may show the key."""
    return DataError(
        f"expected LangSmith's runs from {server!r}, got {said}; check LANGSMITH_API_KEY, LANGSMITH_ENDPOINT and that "
        "the server is up"
    )
