from hypothesis import given
from hypothesis import strategies as st

from drr_agent.evaluation.labels import Box, choose_place

FRAME = Box(0, 0, 300, 200)
BOXES = st.lists(st.builds(lambda x, y: Box(x, y, x + 20, y + 10), st.floats(0, 280), st.floats(0, 190)), max_size=12)


@given(st.tuples(st.floats(0, 300), st.floats(0, 200)), BOXES)
def test_a_name_is_put_beside_its_point(point, taken):
    box, distance = choose_place(point, (40, 10), FRAME, taken)
    x, y = point
    gap = max(box.left - x, x - box.right, box.bottom - y, y - box.top)
    assert abs(gap - distance) < 1e-6
    assert abs(box.area - 400) < 1e-6


@given(st.tuples(st.floats(60, 240), st.floats(70, 130)), BOXES.filter(lambda boxes: len(boxes) <= 2))
def test_two_obstacles_can_always_be_avoided(point, taken):
    box, _ = choose_place(point, (40, 10), FRAME, taken)
    assert sum(box.overlap(other) for other in taken) < 0.01
    assert box.area - box.overlap(FRAME) < 0.01


def test_names_at_one_point_do_not_cover_each_other():
    taken: list[Box] = []
    for _ in range(8):
        box, _ = choose_place((150, 100), (40, 10), FRAME, taken)
        assert all(box.overlap(other) < 0.01 for other in taken)
        taken.append(box)
