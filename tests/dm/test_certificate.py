"""The certificate: what it holds, what it depends on, and what differs."""

import json
import warnings

import pytest
from pydantic import ValidationError

from drr_agent.dm.certificate import Certificate, Dependencies, Setup, check_certificates, differences
from drr_agent.errors import ConfigError, UncertifiedWarning

DEPENDS_ON = {
    "dm": "d" * 12,
    "policy": "ConsensusPolicy(threshold=0.9)",
    "prompts": ("p" * 12,),
    "reasoners": ("pocket",),
    "feedback": ("fresh",),
    "dataset": "s" * 12,
}


def make_certificate(**changes):
    depends_on = Dependencies(**{name: changes.pop(name, value) for name, value in DEPENDS_ON.items()})
    values = {
        "target_error": 0.05,
        "confidence": 0.95,
        "threshold": 0.9,
        "coverage": 0.61,
        "coverage_ci": (0.56, 0.66),
        "accepted": 244,
        "wrong": 5,
        "questions": 400,
        "error_bound": 0.043,
        "max_turns": 4,
        "judged_share": 0.0,
        "tried": 71,
        "depends_on": depends_on,
    }
    return Certificate(**{**values, **changes})


def make_setup(*, feedback="fresh", max_turns=4, policy_within=None, **identity):
    known = {"reasoner": "pocket", "dm": "d" * 12, "prompts": "p" * 12, "policy": DEPENDS_ON["policy"], **identity}
    return Setup(
        identity=known,
        feedback=feedback,
        max_turns=max_turns,
        policy_within=policy_within or (lambda _: known["policy"]),
    )


def test_it_survives_json():
    certificate = make_certificate()
    assert Certificate.model_validate(json.loads(certificate.model_dump_json())) == certificate


def test_the_sentence():
    assert make_certificate(threshold=0.93).sentence == (
        "certified: at most 5 % of the accepted answers are wrong, with 95 % confidence; accepts 61 % (56 to 66) of "
        "the questions at threshold 0.93"
    )


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"wrong": 300}, id="more wrong than accepted"),
        pytest.param({"accepted": 401}, id="more accepted than asked"),
        pytest.param({"target_error": 0.0}, id="no error at all"),
        pytest.param({"target_error": 5}, id="percent"),
        pytest.param({"coverage": float("nan")}, id="nan"),
        pytest.param({"wrong": -1}, id="less than none"),
        pytest.param({"schema_version": 2}, id="another schema"),
        pytest.param({"surprise": 1}, id="unknown field"),
    ],
)
def test_what_cannot_be_is_refused(changes):
    with pytest.raises(ValidationError):
        make_certificate(**changes)


@pytest.mark.parametrize(
    ("certified", "in_use", "different"),
    [
        pytest.param({}, {}, [], id="the same"),
        pytest.param({}, {"dm": "e" * 12}, ["the DM"], id="dm"),
        pytest.param({}, {"dm": None}, ["the DM"], id="no dm"),
        pytest.param({}, {"policy": "ConsensusPolicy(threshold=0.8)"}, ["the policy"], id="threshold"),
        pytest.param({}, {"prompts": "q" * 12}, ["the prompts"], id="prompts"),
        pytest.param({}, {"reasoner": "openai:x"}, ["the Reasoner"], id="reasoner"),
        pytest.param({}, {"max_turns": 8}, ["`max_turns`"], id="turns"),
        pytest.param({}, {"feedback": "history"}, ["the feedback"], id="feedback"),
        pytest.param({"max_turns": 1}, {"feedback": "history", "max_turns": 1}, [], id="one turn needs no feedback"),
        pytest.param({"reasoners": ("pocket", "x")}, {}, ["the Reasoner"], id="a mix is none of its parts"),
        pytest.param({"prompts": (None, "p" * 12)}, {}, ["the prompts"], id="prompts in part unknown"),
        pytest.param({"dataset": None}, {}, [], id="where the labels came from is no part of the setup"),
        pytest.param({}, {"dm": "e" * 12, "max_turns": 8}, ["the DM", "`max_turns`"], id="two"),
    ],
)
def test_what_differs_is_named(certified, in_use, different):
    found = differences(make_certificate(**certified), make_setup(**in_use))
    assert [text.partition(" (")[0] for text in found] == different


def test_turns_that_differ_say_how_to_mend_them():
    assert differences(make_certificate(max_turns=6), make_setup()) == [
        "`max_turns` (certified with 6, in use 4; pass max_turns=6)"
    ]


@pytest.mark.parametrize(
    ("certified", "different"),
    [
        pytest.param(
            "Looks(turns=6)", ["`max_turns` (certified with 6, in use 4; pass max_turns=6)"], id="turns alone"
        ),
        pytest.param(
            "Looks(turns=6, worth=9)",
            [
                "the policy (certified with Looks(turns=6, worth=9), in use Looks(turns=6))",
                "`max_turns` (certified with 6, in use 4; pass max_turns=6)",
            ],
            id="more than turns",
        ),
    ],
)
def test_a_policy_that_goes_by_turns_differs_by_them_once(certified, different):
    setup = make_setup(policy="Looks(turns=4)", policy_within="Looks(turns={})".format)
    assert differences(make_certificate(policy=certified, max_turns=6), setup) == different


def test_what_differs_says_both():
    certificate = make_certificate(prompts=(None, "a"))
    assert differences(certificate, make_setup(prompts="b")) == [
        "the prompts (certified with what nobody recorded and a, in use b)"
    ]


@pytest.mark.parametrize(
    ("certificates", "in_use", "told", "expected"),
    [
        pytest.param([], {}, "warn", None, id="none"),
        pytest.param([], {}, "raise", "without; make one with `drr calibrate --target-error`", id="none required"),
        pytest.param([{}], {}, "warn", True, id="holds"),
        pytest.param([{}], {}, "raise", True, id="holds, required"),
        pytest.param([{}], {"dm": "e" * 12}, "ignore", False, id="ignored"),
        pytest.param([{}], {"dm": "e" * 12}, "raise", "another: the DM .certified with ddd", id="refused"),
        pytest.param([{}], {"policy": "ThresholdPolicy()"}, "warn", False, id="another kind of policy"),
        pytest.param([{}], {"policy": "ThresholdPolicy()"}, "raise", "another: the policy", id="required all the same"),
        pytest.param([{"max_turns": 8}, {}], {}, "warn", True, id="one of two"),
        pytest.param([{}], {}, "never", "`on_uncertified` must be", id="no such setting"),
    ],
)
def test_check(certificates, in_use, told, expected):
    held, setup = [make_certificate(**changes) for changes in certificates], make_setup(**in_use)
    if isinstance(expected, str):
        with pytest.raises(ConfigError, match=expected):
            check_certificates(held, setup, on_uncertified=told)
        return
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert check_certificates(held, setup, on_uncertified=told) is expected


def test_the_warning_names_what_differs_from_the_nearest():
    held = [make_certificate(dm="x" * 12, max_turns=8), make_certificate(max_turns=3)]
    with pytest.warns(
        UncertifiedWarning, match="runs uncertified.*: `max_turns` .certified with 3, in use 4."
    ) as caught:
        assert check_certificates(held, make_setup(), on_uncertified="warn") is False
    assert len(caught) == 1


@pytest.mark.parametrize(
    ("changes", "mixed"),
    [
        pytest.param({}, False, id="one of each"),
        pytest.param({"reasoners": ("a", "b")}, True, id="reasoners"),
        pytest.param({"prompts": (None,)}, True, id="unknown prompts"),
        pytest.param({"feedback": ("unknown",)}, True, id="unknown feedback"),
        pytest.param({"feedback": ("fresh", "history")}, True, id="feedback"),
    ],
)
def test_what_is_mixed_is_about_no_graph(changes, mixed):
    assert make_certificate(**changes).depends_on.is_mixed is mixed
