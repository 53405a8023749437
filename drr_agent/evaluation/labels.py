"""Names beside the points of a chart, placed so that they cover neither each other nor the points."""

from collections.abc import Iterable, Sequence
from itertools import pairwise, product
from typing import Any, NamedTuple

_DISTANCES = (7.0, 15.0, 26.0, 38.0, 52.0)
"""Points between a mark and its name, nearest first."""
_STEPS = (0.0, 1.0, -1.0, 0.5, -0.5)
_SIDES = tuple((across, up) for up, across in product(_STEPS, _STEPS) if max(abs(across), abs(up)) == 1)
_LEADER_FROM = 15.0
"""A name this far away is tied to its mark by a line."""
_MARK = 6.0
"""Half the width of a mark, in points."""


_LINE_BOXES = 24
"""Boxes that stand for one stretch of a line."""


class Label(NamedTuple):
    """A name, its point and the interval drawn through it, in the units of the axes."""

    text: str
    x: float
    y: float
    low: float
    high: float
    main: bool = False


class Box(NamedTuple):
    """A rectangle on the canvas, in points."""

    left: float
    bottom: float
    right: float
    top: float

    def overlap(self, other: "Box") -> float:
        """The area both cover."""
        width = min(self.right, other.right) - max(self.left, other.left)
        height = min(self.top, other.top) - max(self.bottom, other.bottom)
        return max(0.0, width) * max(0.0, height)

    @property
    def area(self) -> float:
        """Width times height."""
        return (self.right - self.left) * (self.top - self.bottom)


def place_labels(axes: Any, labels: Sequence[Label]) -> None:
    """Write the names beside their points, the main one first; greedy, nearest free place wins.

    Args:
        axes: matplotlib axes whose points and limits are final.
        labels: what to write.
    """
    figure = axes.figure
    figure.draw_without_rendering()  # lays out the axes, so that places on the canvas are known
    scale = 72.0 / figure.dpi
    frame = _scaled(axes.get_window_extent(), scale)
    taken = [box for label in labels for box in _obstacles(axes, label, scale)] + _lines(axes, scale)
    for label in sorted(labels, key=lambda label: not label.main):
        x, y = (scale * value for value in axes.transData.transform((label.x, label.y)))
        box, distance = choose_place((x, y), _measure(figure, label, scale), frame, taken)
        taken.append(box)
        _write(axes, label, (box.left - x, box.bottom - y), leader=distance >= _LEADER_FROM)


def choose_place(
    point: tuple[float, float], size: tuple[float, float], frame: Box, taken: Iterable[Box]
) -> tuple[Box, float]:
    """The nearest place for a name that covers nothing, else the one that covers least, and its distance."""
    obstacles = list(taken)

    def cost(candidate: tuple[Box, float]) -> tuple[float, float]:
        box, distance = candidate
        outside = box.area - box.overlap(frame)
        return round(10 * outside + sum(box.overlap(other) for other in obstacles), 3), distance

    return min((_beside(point, size, distance, side) for distance, side in product(_DISTANCES, _SIDES)), key=cost)


def _beside(
    point: tuple[float, float], size: tuple[float, float], distance: float, side: tuple[float, float]
) -> tuple[Box, float]:
    """The box of that size whose nearest edge or corner is `distance` from the point."""
    (x, y), (width, height), (across, up) = point, size, side
    left = x + across * distance - width * (1 - across) / 2
    bottom = y + up * distance - height * (1 - up) / 2
    return Box(left, bottom, left + width, bottom + height), distance


def _obstacles(axes: Any, label: Label, scale: float) -> list[Box]:
    """The mark of a point and the bar through it."""
    places = axes.transData.transform([(label.x, label.low), (label.x, label.y), (label.x, label.high)])
    (x, low), (_, y), (_, high) = ((scale * across, scale * up) for across, up in places)
    return [Box(x - _MARK, y - _MARK, x + _MARK, y + _MARK), Box(x - 3, low, x + 3, high)]


def _lines(axes: Any, scale: float) -> list[Box]:
    """Small boxes along the drawn lines."""
    boxes = []
    for line in axes.lines:
        corners = scale * axes.transData.transform(line.get_xydata())
        for (x, y), (end_x, end_y) in pairwise(corners):
            steps = [step / _LINE_BOXES for step in range(_LINE_BOXES + 1)]
            centers = [(x + step * (end_x - x), y + step * (end_y - y)) for step in steps]
            boxes += [Box(across - 1.5, up - 1.5, across + 1.5, up + 1.5) for across, up in centers]
    return boxes


def _measure(figure: Any, label: Label, scale: float) -> tuple[float, float]:
    """Width and height of a written name, in points."""
    text = figure.text(0, 0, label.text, **_font(label))
    extent = _scaled(text.get_window_extent(), scale)
    text.remove()
    return extent.right - extent.left, extent.top - extent.bottom


def _font(label: Label) -> dict[str, Any]:
    return {"fontsize": 8.5, "fontweight": "bold" if label.main else "normal", "linespacing": 1.1}


def _write(axes: Any, label: Label, offset: tuple[float, float], *, leader: bool) -> None:
    text = axes.annotate(
        label.text,
        (label.x, label.y),
        xytext=offset,
        textcoords="offset points",
        annotation_clip=False,
        arrowprops={"arrowstyle": "-", "linewidth": 0.8, "alpha": 0.8} if leader else None,
        zorder=5,
        **_font(label),
    )
    text.set_in_layout(False)  # the axes keep the size that the place was chosen for


def _scaled(extent: Any, scale: float) -> Box:
    return Box(extent.x0 * scale, extent.y0 * scale, extent.x1 * scale, extent.y1 * scale)
