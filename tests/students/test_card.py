from __future__ import annotations

from pathlib import Path

import yaml

from students.card import CardFacts, Drawn, Interval, Measured, Serving, Source, Training, card

GOLDEN = Path("tests/golden/card.md")
FACTS = CardFacts(
    title="shortcot-lab-student",
    student="post_think",
    seed=0,
    base=Source("students/lab", None, "MIT"),
    teacher=Source("teachers/lab", None, "MIT"),
    data=Source("problems of the lab's generator", None, "MIT"),
    task="lab",
    problems={"train": 2000, "validation": 300, "test": 1000},
    training=Training("supervised fine-tuning of all weights", "writer : share: teacher : 1, post_think : 4", 1800, {"epochs": 6.0}),
    rule="Among the candidates the one with the fewest mean tokens.",
    measured=[
        Measured("post_think", Interval(0.712, 0.684, 0.739), Interval(61.24, 60.1, 62.4), Interval(0.0, 0.0, 0.0)),
        Measured("long", Interval(0.72, 0.69, 0.75), Interval(180.0, 176.2, 184.0), Interval(0.004, 0.001, 0.008)),
    ],
    difference=Interval(-0.008, -0.029, 0.013),
    serving=Serving(
        ["vllm serve . --served-model-name shortcot-lab-student"], "shortcot-lab-student", "Think first.\n\nThen answer.", 320, "Checked."
    ),
)


def front_matter(text: str) -> dict[str, object]:
    found = yaml.safe_load(text.split("---\n")[1])
    assert isinstance(found, dict)
    return found


def test_the_card_is_the_golden_one() -> None:
    assert card(FACTS) == GOLDEN.read_text(encoding="utf-8")


def test_the_front_matter_names_hub_models_and_data_only() -> None:
    assert {"base_model", "datasets"}.isdisjoint(front_matter(card(FACTS)))
    pinned = FACTS._replace(base=Source("Qwen/Qwen3-1.7B", "70d244cc", "Apache-2.0"), data=Source("openai/gsm8k", "e53f0488", "MIT"))
    found = front_matter(card(pinned))
    assert (found["base_model"], found["datasets"], found["license"]) == ("Qwen/Qwen3-1.7B", ["openai/gsm8k"], "apache-2.0")


def test_a_bound_that_is_not_defined_is_a_dash_and_nothing_is_compared_without_a_long_student() -> None:
    alone = FACTS._replace(difference=None, measured=[FACTS.measured[0]._replace(accuracy=Interval(0.5, None, None))])
    text = card(alone)
    assert "| `post_think` | 50.0 % [–, –] |" in text
    assert "Paired difference" not in text


def test_draws_are_said_and_a_student_that_should_not_be_sampled_is_named_as_one() -> None:
    drawn = Drawn(1.0, 0.9, Interval(0.213, 0.181, 0.246), greedy_only=True)
    line = "- Drawn at temperature 1 with top_p 0.9, 21.3 % [18.1, 24.6] of its answers are right"
    assert f"{line}: ask it greedily" in card(FACTS._replace(drawn=drawn))
    assert f"{line}.\n" in card(FACTS._replace(drawn=drawn._replace(greedy_only=False)))


def test_a_system_message_is_quoted_line_by_line_or_said_to_be_needless() -> None:
    assert "> Think first.\n>\n> Then answer." in card(FACTS)
    assert "No system message is needed." in card(FACTS._replace(serving=FACTS.serving._replace(instruction=None)))
