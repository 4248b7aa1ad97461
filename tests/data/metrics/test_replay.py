from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.metrics.answers import credit
from data.metrics.compare import Rules
from data.metrics.replay import replay
from data.stop_settings import Enough, Esc
from data.stopping import Vote, stop

BOOTSTRAP = Rules(200, 0, 0.03)
POOLS = st.dictionaries(
    st.sampled_from(["p", "q", "r"]),
    st.lists(st.sampled_from(["4", "5", None]).map(lambda answer: Vote(answer, answer == "4")), min_size=4, max_size=6),
    min_size=1,
)


def test_many_shuffles_come_to_the_mean_over_all_orders():
    votes = [Vote(answer, answer == "4") for answer in ("4", "4", "5", "4", None)]
    ends = [stop(Esc(window=2), order) for order in permutations(votes)]
    found = replay({"p": votes}, {"esc": Esc(window=2)}, shuffles=4000, bootstrap=BOOTSTRAP)["esc"]
    assert found.draws.value == pytest.approx(sum(end.draws for end in ends) / len(ends), abs=0.1)
    assert found.accuracy.value == pytest.approx(sum(credit(end.leaders, votes) for end in ends) / len(ends), abs=0.03)
    assert found.agreement.value == pytest.approx(sum(end.leaders == {"4"} for end in ends) / len(ends), abs=0.03)


@given(POOLS)
def test_all_draws_agree_with_themselves_and_no_rule_takes_more(pool):
    found = replay(pool, {"all": None, "esc": Esc(window=2), "enough": Enough(right=2)}, shuffles=5, bootstrap=BOOTSTRAP)
    assert found["all"].agreement.value == 1 and found["all"].against_all.value == 0
    for own in found.values():
        assert own.draws.value <= found["all"].draws.value
        assert own.against_all.value == pytest.approx(own.accuracy.value - found["all"].accuracy.value)
        assert own.draws.low <= own.draws.value + 1e-9 and own.draws.high >= own.draws.value - 1e-9


@given(POOLS)
def test_the_same_pool_gives_the_same_numbers_whatever_the_order_of_its_problems(pool):
    rules = {"esc": Esc(window=2)}
    assert replay(pool, rules, shuffles=3, bootstrap=BOOTSTRAP) == replay(
        dict(reversed(pool.items())), rules, shuffles=3, bootstrap=BOOTSTRAP
    )
