import csv
import json
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from peft import PeftModel
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

from data.adapters import is_adapter
from data.errors import EngineError, PreflightError, StageError
from data.records import Lesson, Role
from data.tables import read_all, write_table
from students import nat
from students.launch import train
from students.merge import merged
from students.models import Devices, precision_of
from students.nat import build, layers_of, load, negative_only, save
from students.objectives import Teaching, disagreement, likelihood, nce_loss, nce_weights, sft_loss
from students.rows import IGNORED, encode
from students.settings import Guard, Nat, Nce, Sft, Training
from students.training import trainer_for
from teachers.adapters import LOADERS, check_plain, with_adapter

FORMS = {form: Nat(kind="nat", form=form, width=8) for form in ("linear", "bottleneck")}
LORA = Training(adapter="lora", lora_rank=4, lora_alpha=8)
IDS_BT = torch.tensor([[5, 6, 7, 8, 9, 10]])


def logits(model):
    with torch.no_grad():
        return model(input_ids=IDS_BT, use_cache=False).logits


def plain(base):
    return AutoModelForCausalLM.from_pretrained(base).eval()


@pytest.fixture
def negative(make_job, make_lesson):
    """A LoRA that learnt wrong traces."""
    job = make_job("negative", adapter="lora", lora_rank=4, lora_alpha=8, epochs=4, rows=8).model_copy(
        update={"objective": Sft(imitate=True)}
    )
    write_table(job.lessons, [make_lesson(n, role=Role.NEGATIVE) for n in range(8)])
    train(job)
    return job.model


@pytest.fixture
def nat_job(make_job, negative):
    job = make_job("nat", adapter="lora", lora_rank=2, lora_alpha=4, epochs=6, rows=16)
    return job.model_copy(update={"objective": FORMS["bottleneck"], "start": negative})


@pytest.mark.parametrize("form", FORMS)
def test_the_unit_starts_as_the_base_and_its_negative_side_is_the_adapter(base, negative, form):
    model = build(plain(base), negative, FORMS[form], LORA)
    assert len(layers_of(model)) == 14, "seven linear layers in each of two blocks"
    assert torch.equal(logits(model), logits(plain(base)))
    with negative_only(model):
        assert torch.allclose(logits(model), logits(PeftModel.from_pretrained(plain(base), str(negative))), atol=1e-5)
    assert torch.equal(logits(model), logits(plain(base)))


@pytest.mark.parametrize("form", FORMS)
def test_only_the_positive_adapter_and_the_unit_learn(base, negative, form):
    model = build(plain(base), negative, FORMS[form], LORA)
    for layer in layers_of(model).values():  # away from the zeros, where the first gradients are zero too
        for parameter in (*layer.positive.parameters(), *layer.unit.parameters()):
            torch.nn.init.normal_(parameter, std=0.1)
    model(input_ids=IDS_BT, labels=IDS_BT, use_cache=False).loss.backward()
    learning = {name for name, parameter in model.named_parameters() if parameter.grad is not None and parameter.grad.any()}
    assert learning == {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    assert all(".positive." in name or ".unit." in name for name in learning)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 1000), st.floats(0.1, 1), st.sampled_from(sorted(FORMS)))
def test_the_weight_of_the_negative_side_is_bounded_and_follows_the_formula(seed, beta, form):
    torch.manual_seed(seed)
    unit = nat.Unit(6, 5, Nat(kind="nat", form=form, width=3, beta=beta))
    torch.nn.init.normal_(unit.value.weight if form == "linear" else unit.value[-1].weight)
    x, positive, negative_ = torch.randn(2, 4, 6), torch.randn(2, 4, 5), torch.randn(2, 4, 5)
    share = unit.share(x, positive, negative_)
    assert share.shape == (2, 4, 1) and bool((share.abs() <= beta).all())
    out = unit(x, positive, negative_)
    q, k_pos, k_neg = unit.query(x)[0, 0], unit.key(positive)[0, 0], unit.key(negative_)[0, 0]
    scores = [math.exp((q @ key).item()) for key in (k_pos, k_neg)]
    a = 2 * beta * scores[1] / sum(scores) - beta
    assert float(share[0, 0, 0]) == pytest.approx(a, abs=1e-4)
    wanted = (1 - a) * unit.value(positive[0, 0]) + a * unit.value(negative_[0, 0])
    assert torch.allclose(out[0, 0], wanted, atol=1e-4)


def test_the_start_depends_on_the_job_s_seed_alone(nat_job, tokenizer):
    def drawn(job, chance):
        torch.manual_seed(chance)
        rows = encode(read_all(job.lessons, Lesson), tokenizer, job.training).rows
        trainer = trainer_for(job, rows, tokenizer, precision_of("fp32", Devices(0, False)))
        return torch.cat([layer.positive.down.weight.flatten() for layer in layers_of(trainer.model).values()])

    assert torch.equal(drawn(nat_job, 1), drawn(nat_job, 2))
    assert not torch.equal(drawn(nat_job, 1), drawn(nat_job.model_copy(update={"seed": 1}), 1))


def test_it_is_trained_watched_saved_and_loaded_again(nat_job, base, negative, tmp_path):
    guard = Guard(ends_from=6, prompts=2, max_tokens=60)
    nat_job = nat_job.model_copy(update={"training": nat_job.training.model_copy(update={"guard": guard})})
    train(nat_job)
    with (nat_job.model / "training.csv").open(newline="") as file:
        points = list(csv.DictReader(file))
    losses = [float(point["loss"]) for point in points if point["loss"]]
    assert losses[-1] < losses[0] - 0.1
    assert [point["step"] for point in points if point["probe_finished"]] == ["6"], "it writes, as it will when it is evaluated"
    assert is_adapter(nat_job.model)
    model = load(plain(base), nat_job.model).eval()
    assert not torch.allclose(logits(model), logits(plain(base)), atol=1e-3)
    save(model, tmp_path / "again", nat_job.objective, base_name="b")
    first, second = (load_file(folder / nat.WEIGHTS) for folder in (nat_job.model, tmp_path / "again"))
    assert first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)
    with negative_only(model):
        assert torch.allclose(logits(model), logits(PeftModel.from_pretrained(plain(base), str(negative))), atol=1e-5), "frozen"
    config = json.loads((nat_job.model / "adapter_config.json").read_text())
    assert config["peft_type"] == "NAT" and str(base) not in json.dumps(config)
    with pytest.raises(StageError, match="other layers"):
        nat.read_into(plain(base), nat_job.model)


def test_it_is_sampled_with_transformers_and_never_merged_or_served(nat_job, base, tmp_path, monkeypatch):
    train(nat_job)
    monkeypatch.setitem(LOADERS, "NAT", load)
    assert torch.equal(logits(with_adapter(plain(base), nat_job.model).eval()), logits(load(plain(base), nat_job.model).eval()))
    with pytest.raises(EngineError, match=r"kind NAT depends on its input, so engine vllm cannot.*objective nce"):
        check_plain(nat_job.model, "vllm")
    with pytest.raises(PreflightError, match="kind NAT depends on its input, so it cannot be merged"):
        merged(nat_job.model, base, tmp_path / "out")


@pytest.mark.slow
def test_a_killed_training_goes_on_to_the_same_adapter(nat_job, killed_after):
    killed = nat_job.model_copy(update={"work": nat_job.work.with_name("killed")})
    train(nat_job)

    with killed_after(5):
        train(killed)
    assert {file.name for file in (killed.work / "checkpoint-4").iterdir()} >= {"adapter_config.json", nat.WEIGHTS}
    assert not (killed.work / "checkpoint-4/model.safetensors").exists(), "the base is not saved"
    finished = train(killed)
    assert finished.spent.tokens < finished.trained.trained_tokens
    first, second = (load_file(job.model / nat.WEIGHTS) for job in (nat_job, killed))
    assert all(torch.allclose(first[name], second[name], atol=1e-7) for name in first)


def test_nce_makes_a_plain_lora_of_it(nat_job, make_job, base):
    train(nat_job)
    job = make_job("nce", adapter="lora", lora_rank=4, lora_alpha=8, epochs=2, rows=16, save_every_steps=1)
    job = job.model_copy(update={"objective": Nce(kind="nce"), "start": nat_job.model})
    train(job)
    points = [line.split(",") for line in (job.model / "training.csv").read_text().splitlines()[1:]]
    assert float(points[-1][1]) < float(points[0][1])
    check_plain(job.model, "vllm")
    assert json.loads((job.model / "adapter_config.json").read_text())["peft_type"] == "LORA"
    assert not torch.allclose(logits(PeftModel.from_pretrained(plain(base), str(job.model))), logits(plain(base)), atol=1e-3)


def example(rows, length, seed, share=0.6):
    generator = torch.Generator().manual_seed(seed)
    scores = [torch.randn(rows, length, 7, generator=generator, dtype=torch.float64) for _ in range(3)]
    labels_BT = torch.randint(7, (rows, length), generator=generator)
    labels_BT[torch.rand(rows, length, generator=generator) > share] = IGNORED
    return scores[0], labels_BT, Teaching(scores[1], scores[2])


def slow_nce(student_BTV, labels_BT, teaching, objective):
    """The definition, token by token."""
    total, count, distilled = 0.0, 0, 0.0
    for b in range(len(labels_BT)):
        kls, entropies = [], []
        for t in range(1, labels_BT.shape[1]):
            if labels_BT[b, t] == IGNORED:
                continue
            p_nat, p_neg = (torch.softmax(x[b, t - 1], -1).tolist() for x in (teaching.nat_BTV, teaching.negative_BTV))
            kls.append(sum(n * (math.log(n) - math.log(p)) for n, p in zip(p_neg, p_nat, strict=True)))
            hot = torch.softmax(teaching.nat_BTV[b, t - 1] / objective.temperature, -1).tolist()
            own = torch.log_softmax(student_BTV[b, t - 1] / objective.temperature, -1).tolist()
            entropies.append(-(objective.temperature**2) * sum(h * o for h, o in zip(hot, own, strict=True)))
            total -= float(torch.log_softmax(student_BTV[b, t - 1], -1)[labels_BT[b, t]])
            count += 1
        mean = sum(kls) / max(1, len(kls))
        betas = [math.tanh(kl if objective.per == "token" else mean) for kl in kls]
        distilled += sum((objective.offset + beta) * entropy for beta, entropy in zip(betas, entropies, strict=True))
    return ((1 - objective.mix) * total + objective.mix * distilled) / max(1, count)


OBJECTIVES = st.builds(
    lambda per, mix, temperature: Nce(kind="nce", per=per, mix=mix, temperature=temperature),
    st.sampled_from(["sequence", "token"]),
    st.floats(0, 1),
    st.floats(0.5, 3),
)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 3), st.integers(2, 6), st.integers(0, 999), OBJECTIVES)
def test_nce_equals_the_slow_loop_however_rows_are_divided(rows, length, seed, objective):
    student_BTV, labels_BT, teaching = example(rows, length, seed)
    wanted = slow_nce(student_BTV, labels_BT, teaching, objective)
    assert nce_loss(student_BTV, labels_BT, teaching, objective).item() == pytest.approx(wanted, rel=1e-4, abs=1e-6)
    tokens = int((labels_BT[:, 1:] != IGNORED).sum())
    parts = [
        nce_loss(student_BTV[b : b + 1], labels_BT[b : b + 1], Teaching(*(x[b : b + 1] for x in teaching)), objective, tokens=tokens)
        for b in range(rows)
    ]
    assert sum(parts).item() == pytest.approx(wanted, rel=1e-4, abs=1e-6)


def test_the_divergence_is_from_the_negative_to_nat():
    """KL(p ‖ q) with p = (1, 0) and q = (1/2, 1/2) is log 2; the other direction has no bound."""
    sure, even = torch.tensor([[[60.0, 0.0]] * 2]), torch.zeros(1, 2, 2)
    assert disagreement(Teaching(nat_BTV=even, negative_BTV=sure)).item() == pytest.approx(math.log(2), rel=1e-5)
    assert disagreement(Teaching(nat_BTV=sure, negative_BTV=even)).item() > 20


def test_where_the_two_agree_nce_is_half_weighted_distillation():
    student_BTV, labels_BT, teaching = example(2, 6, 1)
    agreeing = Teaching(teaching.nat_BTV, teaching.nat_BTV)
    mask_BS = labels_BT[:, 1:] != IGNORED
    assert disagreement(agreeing).abs().max().item() < 1e-6
    entropy_BS = -(torch.softmax(teaching.nat_BTV[:, :-1], -1) * torch.log_softmax(student_BTV[:, :-1], -1)).sum(-1)
    wanted = 0.5 * (entropy_BS * mask_BS).sum() / mask_BS.sum()
    assert nce_loss(student_BTV, labels_BT, agreeing, Nce(kind="nce", mix=1.0)).item() == pytest.approx(wanted.item(), rel=1e-5)
    own = nce_loss(student_BTV, labels_BT, teaching, Nce(kind="nce", mix=0.0))
    assert own.item() == pytest.approx(sft_loss(student_BTV, labels_BT).item())


def test_weights_lie_between_the_offset_and_one_more_and_masked_tokens_have_no_say():
    student_BTV, labels_BT, teaching = example(3, 6, 2)
    mask_BS = labels_BT[:, 1:] != IGNORED
    for per_token in (True, False):
        weights_BS = nce_weights(teaching, mask_BS, per_token=per_token, offset=0.5)
        assert bool(((weights_BS >= 0.5) & (weights_BS < 1.5)).all())
    loud = Teaching(teaching.nat_BTV, torch.where(mask_BS[..., None], teaching.negative_BTV[:, :-1], 100 * teaching.negative_BTV[:, :-1]))
    loud = Teaching(teaching.nat_BTV, torch.cat([loud.negative_BTV, teaching.negative_BTV[:, -1:]], 1))
    objective = Nce(kind="nce")
    assert nce_loss(student_BTV, labels_BT, loud, objective).item() == pytest.approx(
        nce_loss(student_BTV, labels_BT, teaching, objective).item(), rel=1e-6
    )
    nothing = torch.full_like(labels_BT, IGNORED)
    assert nce_loss(student_BTV, nothing, teaching, objective).item() == 0 == likelihood(student_BTV, nothing).means().sum().item()
