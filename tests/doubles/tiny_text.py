"""Tokenizers and text encoders of a few thousand random weights, made here: no download.

The tokenizers know whole words, so that a prompt with its tone words fits into few tokens.
"""

from __future__ import annotations

import functools
from typing import Any

WIDTH = 32
KNOWN = """a portrait of the doctor nurse person photo with very fair tan dark brown skin blurry bad user
assistant system . , : ; { } ' \" < > | / _ im start end"""
WORDS = tuple(KNOWN.split())
SPECIAL = ("<pad>", "<s>", "</s>", "<unk>", "<|image_pad|>", "<|vision_start|>", "<|vision_end|>")
CHAT = (
    "{% for message in messages %}<s>{{ message['role'] }} "
    "{% if message['content'] is string %}{{ message['content'] }}"
    "{% else %}{% for part in message['content'] %}{{ part['text'] }}{% endfor %}{% endif %} </s>"
    "{% endfor %}{% if add_generation_prompt %}<s>assistant {% endif %}"
)


@functools.cache
def tokenizer(length: int = 24, *, side: str = "right", begin: bool = False, end: bool = True) -> Any:
    """Words to numbers; ``begin`` and ``end``: whether it adds <s> and </s>."""
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Whitespace
    from tokenizers.processors import TemplateProcessing
    from transformers import PreTrainedTokenizerFast

    vocabulary = {word: place for place, word in enumerate([*SPECIAL, *WORDS])}
    made = Tokenizer(WordLevel(vocabulary, unk_token="<unk>"))
    made.pre_tokenizer = Whitespace()
    template = f"{'<s> ' if begin else ''}$A{' </s>' if end else ''}"
    made.post_processor = TemplateProcessing(single=template, special_tokens=[("<s>", 1), ("</s>", 2)])
    fast = PreTrainedTokenizerFast(
        tokenizer_object=made,
        pad_token="<pad>",
        bos_token="<s>",
        eos_token="</s>",
        unk_token="<unk>",
        additional_special_tokens=list(SPECIAL[4:]),
        model_max_length=length,
        padding_side=side,
    )
    fast.chat_template = CHAT
    return fast


def size() -> int:
    """How many tokens there are."""
    return len(SPECIAL) + len(WORDS)


def clip(width: int = WIDTH, *, projection: int | None = None, length: int = 24) -> Any:
    """A CLIP text encoder, with a projection to so many numbers where one is given."""
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

    config = CLIPTextConfig(
        vocab_size=size(), hidden_size=width, intermediate_size=32, num_hidden_layers=2,
        num_attention_heads=2, max_position_embeddings=length, projection_dim=projection or width,
        bos_token_id=1, eos_token_id=2, pad_token_id=0,
    )  # fmt: skip
    return (CLIPTextModel if projection is None else CLIPTextModelWithProjection)(config).eval()


def t5(width: int = WIDTH, *, multilingual: bool = False, vocabulary: int | None = None) -> Any:
    """A T5 encoder, or mT5's."""
    from transformers import T5Config, T5EncoderModel, UMT5Config, UMT5EncoderModel

    settings = {
        "vocab_size": vocabulary or size(), "d_model": width, "d_kv": 8, "d_ff": 32, "num_layers": 1,
        "num_heads": 2, "relative_attention_num_buckets": 8,
    }  # fmt: skip
    if multilingual:
        return UMT5EncoderModel(UMT5Config(**settings)).eval()
    return T5EncoderModel(T5Config(**settings)).eval()


def language_model(kind: str, width: int = WIDTH, *, layers: int = 2, head: bool = False) -> Any:
    """A decoder: "Qwen3", "Glm", "Gemma", "Gemma2", "Llama" or "SmolLM3"."""
    import transformers

    settings: dict[str, Any] = {
        "vocab_size": size(), "hidden_size": width, "intermediate_size": 16, "num_hidden_layers": layers,
        "num_attention_heads": 2, "num_key_value_heads": 2, "head_dim": 8, "max_position_embeddings": 512,
        "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2,
    }  # fmt: skip
    if kind == "Gemma2":
        settings |= {"query_pre_attn_scalar": 8, "sliding_window": 64}
    config = getattr(transformers, f"{kind}Config")(**settings)
    return getattr(transformers, f"{kind}{'ForCausalLM' if head else 'Model'}")(config).eval()


def bert(width: int = WIDTH) -> Any:
    """A BERT encoder."""
    from transformers import BertConfig, BertModel

    return BertModel(
        BertConfig(
            vocab_size=size(), hidden_size=width, intermediate_size=32, num_hidden_layers=1,
            num_attention_heads=2, max_position_embeddings=96,
        )
    ).eval()  # fmt: skip


def qwen_vl(kind: str, width: int = 16, *, layers: int = 2, head: bool = True) -> Any:
    """The vision-language models that read the prompt in newer pipelines: "Qwen2_5_VL" or "Qwen3VL"."""
    import transformers

    head_size = 8 if kind == "Qwen3VL" else width // 2
    sections = [head_size // 8, head_size // 8, head_size // 4]
    text: dict[str, Any] = {
        "vocab_size": size(), "hidden_size": width, "intermediate_size": 16, "num_hidden_layers": layers,
        "num_attention_heads": 2, "num_key_value_heads": 2, "max_position_embeddings": 2048,
        "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": sections},
        "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2,
    }  # fmt: skip
    vision: dict[str, Any] = {"depth": 1, "hidden_size": 16, "intermediate_size": 16, "num_heads": 2}
    vision |= {"out_hidden_size": width}
    if kind == "Qwen3VL":
        text["head_dim"] = head_size
    config = getattr(transformers, f"{kind}Config")(
        text_config=text, vision_config=vision, image_token_id=4, video_token_id=3, vision_start_token_id=5,
        vision_end_token_id=6,
    )  # fmt: skip
    return getattr(transformers, f"{kind}{'ForConditionalGeneration' if head else 'Model'}")(config).eval()


def mistral(width: int = 16) -> Any:
    """Mistral 3, as Flux 2 reads its prompts."""
    from transformers import Mistral3Config, Mistral3ForConditionalGeneration

    config = Mistral3Config(
        text_config={
            "model_type": "mistral", "vocab_size": size(), "hidden_size": width, "intermediate_size": 16,
            "max_position_embeddings": 1024, "num_attention_heads": 2, "num_hidden_layers": 1,
            "num_key_value_heads": 2, "head_dim": 8, "sliding_window": None,
        },
        vision_config={
            "model_type": "pixtral", "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2,
            "intermediate_size": 16, "image_size": 30, "patch_size": 6, "num_channels": 3,
        },
        image_token_index=4,
        vision_feature_layer=-1,
    )  # fmt: skip
    return Mistral3ForConditionalGeneration(config).eval()


class Processor:
    """Stands in for a vision-language model's processor, for text alone."""

    def __init__(self, side: str = "right") -> None:
        self.tokenizer = tokenizer(512, side=side, end=False)

    def apply_chat_template(self, messages: Any, **given: Any) -> Any:
        """The chat as text, or its tokens, a list for each chat."""
        found = self.tokenizer.apply_chat_template(messages, **given)
        return [found] if given.get("tokenize") and isinstance(messages[0], dict) else found

    def __call__(self, images: Any = None, text: Any = None, **given: Any) -> Any:
        """The tokens of a text; a true one takes pictures first."""
        assert images is None
        found = self.tokenizer(text, **given)
        return found

    def batch_decode(self, *args: Any, **given: Any) -> Any:
        """The texts of tokens."""
        return self.tokenizer.batch_decode(*args, **given)


class PositionedTokenizer:
    """A tokenizer that gives positions too, as ChatGLM's does."""

    def __init__(self) -> None:
        self._inner = tokenizer(256, side="left", end=False)
        self.model_max_length = 256

    def __call__(self, text: Any, **given: Any) -> Any:
        """The tokens of a text, with the position of each."""
        found = self._inner(text, **given)
        mask = found["attention_mask"]
        found["position_ids"] = (mask.cumsum(-1) - 1).clamp_min(0)
        return found
