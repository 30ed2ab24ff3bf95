"""The embedded model's own tokenizer: CLIP-style byte-pair encoding over the words of the captions."""

from __future__ import annotations

import json
from pathlib import Path

from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers
from transformers import CLIPTokenizer

from .captions import MODEL_MAX_LENGTH, vocabulary_corpus

_ALPHABET = list("abcdefghijklmnopqrstuvwxyz0123456789,.'-!?:;()&/")
_START, _END = "<|startoftext|>", "<|endoftext|>"


def build_tokenizer(folder: Path) -> CLIPTokenizer:
    """Train and save the tokenizer. Every caption word becomes one token; anything else falls apart into
    letters.
    """
    bpe = Tokenizer(models.BPE(end_of_word_suffix="</w>", unk_token=_END))
    bpe.normalizer = normalizers.Lowercase()
    bpe.pre_tokenizer = pre_tokenizers.Whitespace()
    words = sorted({w.lower() for line in vocabulary_corpus() for w in line.replace(",", " , ").split()})
    # Single letters and the words alone, often: merges then build exactly these words.
    corpus = words * 20 + _ALPHABET * 5 + [a + b for a in _ALPHABET for b in _ALPHABET]
    trainer = trainers.BpeTrainer(
        vocab_size=1200,
        min_frequency=10,
        special_tokens=[_START, _END],
        end_of_word_suffix="</w>",
        initial_alphabet=_ALPHABET,
    )
    bpe.train_from_iterator(corpus, trainer)
    folder.mkdir(parents=True, exist_ok=True)
    bpe.model.save(str(folder))
    tokenizer: CLIPTokenizer = CLIPTokenizer.from_pretrained(str(folder), model_max_length=MODEL_MAX_LENGTH)
    vocabulary = json.loads((folder / "vocab.json").read_text())
    for word in words:
        if len(tokenizer.tokenize(word)) != 1:
            raise RuntimeError(f"the tokenizer splits the caption word {word!r}")
    if tokenizer.bos_token_id != vocabulary[_START] or tokenizer.eos_token_id != vocabulary[_END]:
        raise RuntimeError("the tokenizer's special tokens do not match its vocabulary")
    tokenizer.save_pretrained(folder)
    return tokenizer
