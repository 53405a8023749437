"""Staging: a folder takes a change of several steps whole, or not at all."""

from contextlib import suppress

import pytest
from dm.test_folder import REQUESTS, save

from drr_agent.dm import load_dm, read_manifest, set_consensus
from drr_agent.dm.folder import MANIFEST, update_manifest
from drr_agent.dm.learned import QUESTIONS, add_questions
from drr_agent.dm.staging import changing
from drr_agent.errors import DMError


def test_a_change_in_several_steps_is_taken_whole(tmp_path):
    before = load_dm(save(tmp_path), device="cpu")
    with changing(tmp_path) as folder:
        update_manifest(folder, calibrated_on="live")
        set_consensus(folder, {"agreement": 0.5})
        add_questions(folder, ["b" * 16, "a" * 16])
        assert load_dm(folder, device="cpu").score(REQUESTS) == before.score(REQUESTS)
        assert read_manifest(tmp_path) == before.manifest, "not yet"
    after = load_dm(tmp_path, device="cpu")
    assert (after.manifest.calibrated_on, after.manifest.consensus.agreement) == ("live", 0.5)
    assert (after.seen, after.digest) == ({"a" * 16, "b" * 16}, before.digest)
    assert (tmp_path / QUESTIONS).read_text().splitlines()[1:] == ["a" * 16, "b" * 16]


def test_a_change_that_fails_in_its_middle_changes_nothing(tmp_path):
    save(tmp_path, "signals")
    (tmp_path / ".changing-killed").mkdir()
    before = read_manifest(tmp_path)
    with suppress(KeyboardInterrupt), changing(tmp_path) as folder:
        set_consensus(folder, {"agreement": 0.5})
        raise KeyboardInterrupt
    assert read_manifest(tmp_path) == before
    assert [file.name for file in tmp_path.iterdir()] == [MANIFEST]


def test_what_is_no_dm_is_left_alone(tmp_path):
    with pytest.raises(DMError, match=r"no drr\.json in it"), changing(tmp_path):
        pass
    assert list(tmp_path.iterdir()) == []
