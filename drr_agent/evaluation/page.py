"""The report as one page that needs nothing else: no script, no font, no request."""

import re
from collections.abc import Callable
from typing import Any, TypeVar

from drr_agent.errors import MissingExtraError, require_extra
from drr_agent.evaluation.charts import draw_pictures
from drr_agent.evaluation.drawing import Picture
from drr_agent.evaluation.report import Report, letters, title_of
from drr_agent.evaluation.table import accepts_some, doubt_ranking, interval, number, percent, points, wrong_of

T = TypeVar("T")
_IN_BACKTICKS = re.compile(r"(`[^`\n]+`)")
_HOME = "drr_agent.evaluation"
"""Where the templates are that all pages share."""


def render_page(report: Report) -> str:
    """The HTML of a report; without matplotlib it has the tables, and says what brings the pictures.

    Raises:
        MissingExtraError: jinja2 is not installed.
    """
    nothing: list[Picture] = []
    pictures, missing = draw_if_possible(lambda: draw_pictures(report), nothing)
    return fill_template(
        "report.html.j2",
        report=report,
        letters=letters(report),
        pictures=pictures,
        missing=missing,
        some_accepted=accepts_some(result.accept_rate for result in report.results),
    )


def fill_template(name: str, *, home: str = _HOME, **values: Any) -> str:
    """A page from a template, with everything that was said escaped.

    Args:
        name: of the template; what it extends and imports may be one that all pages share.
        home: the package it is in.
        values: what it shows.

    Raises:
        MissingExtraError: jinja2 is not installed.
    """
    library = require_extra("jinja2", extra="report", purpose="writing the report's page")
    homes = dict.fromkeys([home, _HOME])
    environment = library.Environment(
        loader=library.ChoiceLoader([library.PackageLoader(one, ".") for one in homes]),
        autoescape=True,
        undefined=library.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(percent=percent, interval=interval, number=number, points=points, title_of=title_of)
    environment.filters.update(coded=coded, prose=prose)
    environment.globals.update(doubt_ranking=doubt_ranking, wrong_of=wrong_of)
    page: str = environment.get_template(name).render(**values)
    return page


def prose(text: str) -> str:
    """A text with strategies called as prose has them; what stands in backticks stays as it is."""
    return "".join(part if part.startswith("`") else title_of(part) for part in _IN_BACKTICKS.split(text))


def coded(text: str) -> Any:
    """A text as HTML, escaped, with what stands in backticks as code."""
    library = require_extra("markupsafe", extra="report", purpose="writing the report's page")
    return library.Markup(_IN_BACKTICKS.sub(_as_code, str(library.escape(text))))


def _as_code(found: re.Match[str]) -> str:
    return f"<code>{found[0].strip('`')}</code>"


def draw_if_possible(draw: Callable[[], T], nothing: T) -> tuple[T, str | None]:
    """The pictures; without matplotlib nothing, and what brings them."""
    try:
        return draw(), None
    except MissingExtraError as error:
        return nothing, str(error)
