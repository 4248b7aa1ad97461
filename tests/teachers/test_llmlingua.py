from __future__ import annotations

from pathlib import Path

import pytest
import torch

from data.errors import EngineError
from data.tasks.lab_tokenizer import train_tokenizer
from teachers import llmlingua
from teachers.compressors.prune_tokens import words
from teachers.llmlingua import WordKeeper


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random token classifier in the layout of the published one."""
    from transformers import BertConfig, BertForTokenClassification

    folder, tokenizer = tmp_path_factory.mktemp("classifier"), train_tokenizer(documents=200)
    config = BertConfig(
        vocab_size=len(tokenizer), hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=64, num_labels=2,
        initializer_range=0.5,
    )  # fmt: skip
    torch.manual_seed(0)
    BertForTokenClassification(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def test_every_word_has_a_probability(classifier: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "Ana has 3 pens. So 3 + 2 = 5, 日本 and that is all. " * 5
    found = words(text)
    whole = WordKeeper(classifier).keep(found)
    assert len(whole) == len(found)
    assert all(0 <= probability <= 1 for probability in whole)
    assert len(set(whole)) > 10
    monkeypatch.setattr(llmlingua, "MAX_TOKENS", 20)
    assert len(WordKeeper(classifier).keep(found)) == len(found)
    assert WordKeeper(classifier).keep([]) == []


def test_a_folder_without_a_classifier_is_named(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="LLMLingua-2 needs one"):
        WordKeeper(tmp_path)
