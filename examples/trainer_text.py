"""The Hugging Face Trainer on text: one callback; a tiny BERT made from its config.

Run: python examples/trainer_text.py
"""

from __future__ import annotations

import argparse
import tempfile

import torch
from transformers import BertConfig, BertForSequenceClassification, Trainer, TrainingArguments

from droptime.adapters.huggingface import DropSchedule

WORDS = ["[PAD]", "[CLS]", "good", "fine", "bad", "poor", "film", "plot", "the", "was"]


def sentence(seed: int) -> dict[str, torch.Tensor]:
    """A sentence of eight words, and whether good words outnumber bad ones."""
    generator = torch.Generator().manual_seed(seed)
    words = torch.randint(2, len(WORDS), (7,), generator=generator)
    good, bad = ((words == a) | (words == a + 1) for a in (2, 4))
    return {
        "input_ids": torch.cat([torch.tensor([1]), words]),
        "labels": (good.sum() > bad.sum()).long(),
    }


def main(epochs: int = 5, samples: int = 512) -> None:
    """Train with dropout that fades out over the first half, whatever the config says."""
    config = BertConfig(
        vocab_size=len(WORDS), hidden_size=32, num_hidden_layers=2, num_attention_heads=2
    )
    schedule = DropSchedule(dropout="early(0.2, until=50%)")
    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            folder,
            num_train_epochs=epochs,
            gradient_accumulation_steps=2,
            learning_rate=1e-3,
            report_to=[],
            use_cpu=True,
        )
        data = [sentence(seed) for seed in range(samples)]
        model = BertForSequenceClassification(config)
        trainer = Trainer(model, arguments, train_dataset=data, callbacks=[schedule])
        print(f"loss {trainer.train().training_loss:.3f}")
    assert schedule.drop is not None
    print(schedule.drop.plan)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--samples", type=int, default=512)
    main(**vars(parser.parse_args()))
