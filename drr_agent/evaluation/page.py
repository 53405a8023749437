"""The report as one page that needs nothing else: no script, no font, no request."""

from drr_agent.errors import MissingExtraError, require_extra
from drr_agent.evaluation.charts import Picture, draw_pictures
from drr_agent.evaluation.report import Report, letters, title_of
from drr_agent.evaluation.table import interval, number, percent, points

_TEMPLATE = "report.html.j2"


def render_page(report: Report) -> str:
    """The HTML of a report; without matplotlib it has the tables, and says what brings the pictures.

    Raises:
        MissingExtraError: jinja2 is not installed.
    """
    library = require_extra("jinja2", extra="report", purpose="writing the report's page")
    environment = library.Environment(
        loader=library.PackageLoader("drr_agent.evaluation", "."),
        autoescape=True,
        undefined=library.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(percent=percent, interval=interval, number=number, points=points, title_of=title_of)
    pictures, missing = _pictures(report)
    page: str = environment.get_template(_TEMPLATE).render(
        report=report, letters=letters(report), pictures=pictures, missing=missing
    )
    return page


def _pictures(report: Report) -> tuple[list[Picture], str | None]:
    try:
        return draw_pictures(report), None
    except MissingExtraError as error:
        return [], str(error)
