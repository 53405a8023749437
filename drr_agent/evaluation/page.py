"""The report as one page that needs nothing else: no script, no font, no request."""

from collections.abc import Callable
from typing import Any, TypeVar

from drr_agent.errors import MissingExtraError, require_extra
from drr_agent.evaluation.charts import draw_pictures
from drr_agent.evaluation.drawing import Picture
from drr_agent.evaluation.report import Report, letters, title_of
from drr_agent.evaluation.table import interval, number, percent, points

T = TypeVar("T")
_HOME = "drr_agent.evaluation"
"""Where the templates are that all pages share."""


def render_page(report: Report) -> str:
    """The HTML of a report; without matplotlib it has the tables, and says what brings the pictures.

    Raises:
        MissingExtraError: jinja2 is not installed.
    """
    nothing: list[Picture] = []
    pictures, missing = draw_if_possible(lambda: draw_pictures(report), nothing)
    return fill_template("report.html.j2", report=report, letters=letters(report), pictures=pictures, missing=missing)


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
    page: str = environment.get_template(name).render(**values)
    return page


def draw_if_possible(draw: Callable[[], T], nothing: T) -> tuple[T, str | None]:
    """The pictures; without matplotlib nothing, and what brings them."""
    try:
        return draw(), None
    except MissingExtraError as error:
        return nothing, str(error)
