"""Every text-to-image pipeline that diffusers exports, steered: the table in docs/steering.md is made here.

python -m tests.steering.test_every_pipeline     # runs the checks and writes the table
"""

from __future__ import annotations

import inspect
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from fairgen.errors import UserError
from fairgen.models.loading import wrap_pipeline
from fairgen.steering.errors import SampledTogetherError
from fairgen.steering.guidance import ToneGuidance
from fairgen.steering.prompt_variants import with_word
from fairgen.steering.registry import chosen, technique
from fairgen.steering.request import Request
from fairgen.steering.support import REFUSED
from tests.doubles.text_to_image import CASES, STEPS, built, make, sample

pytestmark = [
    pytest.mark.filterwarnings(r"ignore:.*is deprecated:FutureWarning"),  # of diffusers' own classes
    pytest.mark.filterwarnings(r"ignore:.*torch\.jit\.script.*:DeprecationWarning"),
    pytest.mark.filterwarnings(r"ignore:Mismatch dtype between input and weight:UserWarning"),
]
PROMPT = "a portrait of a doctor"
FAIR, DARK = f"{PROMPT} with very fair skin", f"{PROMPT} with very dark skin"
PAGE = Path(__file__).resolve().parents[2] / "docs" / "steering.md"
BEGIN, END = "<!-- pipelines: made by tests/steering/test_every_pipeline.py -->", "<!-- pipelines: end -->"
EXACT = 2e-3
"""Largest difference to the toned prompt's picture, as a share of what the tone words change."""
ROUNDING = 1e-4
"""The same for a picture of strength 0, where an encoder pads to the longest prompt of a batch."""

OTHER_KINDS = {
    r"Audio|MusicLDM|AceStep|Spectrogram": "sound",
    r"Video|Wan|LTX|SkyReels|Skyreels|Mochi|CogVideo|Allegro|EasyAnimate|Latte|Motif|AnyFlow|AnimateDiff"
    r"|Cosmos|Helios|ConsisID|Kandinsky5.*V|Kandinsky6|I2VGen|PIA|SanaWM|Lucy|ChronoEdit": "video",
    r"Img2Img|I2I|Emb2Emb|Edit|Inpaint|Fill|Upscale|SuperResolution|Refiner|Depth2Img|InstructPix2Pix|Layered"
    r"|Redux|BlipDiffusion|Cycle|GLIGENTextImage|DualGuided|Pix2PixZero|VisualCloze|AttendAndExcite": (
        "begins with a picture, or with places in it"
    ),
    r"ShapE|Prior|Decoder|^KandinskyPipeline|^KandinskyV22Pipeline|Controlnet": "one stage of several",
    r"LLaDA|DiffusionGemma": "text",
    r"Onnx": "ONNX",
}
"""Pipelines that take a prompt, but are not text-to-image, by their names."""


@dataclass(frozen=True)
class Row:
    """What a pipeline's checks came to, a column each."""

    embedding: str
    window: str
    semantic: str
    zero: str
    guidance: str
    several: str
    half: str
    prompt: str


@pytest.fixture(scope="module")
def rows() -> dict[str, Row]:
    return {}


@pytest.mark.parametrize("name", sorted(CASES))
def test_steered(name: str, rows: dict[str, Row]) -> None:
    rows[name] = check(name)


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_refused_but_for_words(name: str) -> None:
    from diffusers import StableDiffusionPipeline

    like = "StableDiffusionPipeline"
    pipe = built(type(name, (StableDiffusionPipeline,), {}), CASES[like].build(), {})
    with pytest.raises(UserError, match=f"{name} cannot be steered in its embeddings: .* Use 'prompt'"):
        ToneGuidance(pipe, strength=1.0)
    assert chosen("auto", pipe) == "prompt"
    assert words(like, pipe, CASES[like].guided or {}) == "yes"


def test_the_table_is_current(rows: dict[str, Row]) -> None:
    if len(rows) < len(CASES):
        pytest.skip("not every pipeline was run")
    assert sum(row.embedding != "refused" for row in rows.values()) >= 30
    assert sum(row.half != "not on a CPU" for row in rows.values()) >= len(rows) - 2
    assert all(row.prompt == "yes" for row in rows.values())
    current = re.search(rf"{re.escape(BEGIN)}\n(.*){re.escape(END)}", PAGE.read_text("utf-8"), re.DOTALL)
    assert current is not None
    found = as_on_any_processor(rows, current.group(1))
    assert current.group(1) == table(found), "run python -m tests.steering.test_every_pipeline"


def test_no_pipeline_is_forgotten() -> None:
    import diffusers

    names = [name for name in dir(diffusers) if name.endswith("Pipeline")]
    for name in names:
        kind = getattr(diffusers, name)
        takes = inspect.signature(kind.__call__).parameters if inspect.isclass(kind) else {}
        if "prompt" not in takes or name in CASES or name in REFUSED:
            continue
        assert any(re.search(pattern, name) for pattern in OTHER_KINDS), f"{name} is in no table"


def check(name: str) -> Row:
    """Run the checks on one pipeline."""
    pipe = make(name)
    case = CASES[name]
    mode = case.guided or case.plain or {}
    kind, encoder = type(pipe), vars(pipe).get("encode_prompt")
    count = 1 if case.one else 3
    plain = sample(name, pipe, [PROMPT] * count, **mode)
    toned = sample(name, pipe, [DARK] if case.one else [FAIR, PROMPT, DARK], **mode)
    effect = float((toned - plain).abs().max())
    assert effect > 0, "the tone words change nothing: the test is wrong"

    def steered(strength: Any, prompts: Any = None, **more: Any) -> torch.Tensor:
        given = {key: more.pop(key) for key in ("technique", "start", "stop") if key in more}
        settings = more.pop("settings", mode)
        with ToneGuidance(pipe, strength=strength, **given):
            made: torch.Tensor = sample(name, pipe, prompts or [PROMPT] * count, **(settings | more))
        return made

    strengths = [1.0] if case.one else [-1.0, 0.0, 1.0]
    zero = "bit for bit"
    try:
        first = steered(strengths)
    except SampledTogetherError:
        zero, strengths = "in a call of its own", [-1.0, 1.0, 1.0]
        toned = sample(name, pipe, [FAIR, DARK, DARK], **mode)
        first = steered(strengths)
    near(first, toned, effect)
    if 0.0 in strengths and not torch.equal(first[1], plain[1]):
        assert float((first[1] - plain[1]).abs().max()) <= ROUNDING * effect
        zero = "to rounding"
    assert torch.equal(steered([0.0] * count), plain), "strength 0 alone is the plain picture"

    columns = []
    for given in ({"stop": 0.99}, {"technique": "semantic"}):
        try:
            made = steered(strengths, **given)
        except UserError:
            columns.append("no")
        else:
            near(made, toned, effect)
            columns.append("yes")

    # Restored, and the same again without guidance.
    assert torch.equal(sample(name, pipe, [PROMPT] * count, **mode), plain)
    assert type(pipe) is kind
    assert vars(pipe).get("encode_prompt") is encoder
    if case.guided is not None and case.plain is not None and not case.one:
        near(
            steered(strengths, settings=case.plain),
            sample(name, pipe, [{-1.0: FAIR, 0.0: PROMPT, 1.0: DARK}[s] for s in strengths], **case.plain),
            effect,
        )
    if not case.one:  # a call with one picture: what is returned for it looks like what is mixed from
        near(steered([-1.0], [PROMPT]), sample(name, pipe, [FAIR], **mode), effect)
    several = several_of(name)
    if several == "yes":
        made = steered([-1.0, 1.0], [PROMPT], count=2, num_images_per_prompt=2)
        near(made, sample(name, pipe, [FAIR, DARK], **mode), effect)
    window, semantic = columns
    by_words = words(name, pipe, mode)
    precision = half(name, pipe, strengths, toned, mode)
    return Row("yes", window, semantic, zero, guidance_of(name), several, precision, by_words)


def words(name: str, pipe: Any, mode: dict[str, Any]) -> str:
    """Whether `prompt` works: fairgen's picture for a class is that of the prompt with the tone words."""
    by_words = technique("prompt", "ita6")
    assert by_words is not None
    (steered,) = by_words.steer(PROMPT, ["dark"])
    assert steered.word is not None
    assert steered.prompt == with_word(PROMPT, steered.word)
    wanted = sample(name, pipe, [steered.prompt], output_type="pil", **mode)[0]
    assert wanted.min() < wanted.max(), "the picture shows nothing: the test is wrong"
    own = ("output_type", "decoder_num_inference_steps")  # fairgen gives them
    given = {key: value for key, value in (CASES[name].call | mode).items() if key not in own}
    model = wrap_pipeline(pipe, steps=STEPS).called_with(given)
    made = model.generate([Request(steered.prompt, seed=0)])[0]
    assert torch.equal(torch.as_tensor(np.array(made)).float(), wanted)
    return "yes"


def guidance_of(name: str) -> str:
    """With which guidance a pipeline is checked: with a negative prompt where it takes one, and without."""
    case = CASES[name]
    if case.guided is None:
        return "has none" if case.plain is None else "off"
    return "on" if case.plain is None or case.one else "on and off"


def several_of(name: str) -> str:
    """Whether several pictures of a prompt are checked, in one call."""
    import diffusers

    if CASES[name].one:
        return "one prompt a call"
    takes = inspect.signature(getattr(diffusers, name).__call__).parameters
    return "yes" if "num_images_per_prompt" in takes else "no such argument"


def near(made: torch.Tensor, wanted: torch.Tensor, effect: float) -> None:
    """Equal to rounding."""
    difference = float((made - wanted).abs().max())
    assert difference <= EXACT * effect, f"off by {difference:.2g} of {effect:.2g}"


def half(name: str, pipe: Any, strengths: list[float], toned: torch.Tensor, mode: dict[str, Any]) -> str:
    """In which half precision a pipeline was checked against the toned prompts.

    Args:
        strengths: of the pictures.
        toned: the toned prompts' pictures in single precision. What half precision itself changes in them is
            the largest difference that counts as rounding.
    """
    prompts = [{-1.0: FAIR, 0.0: PROMPT, 1.0: DARK}[strength] for strength in strengths]
    for precision in (torch.bfloat16, torch.float16):
        try:
            pipe.to(precision)
            plain = sample(name, pipe, [PROMPT] * len(strengths), **mode)
        except (RuntimeError, TypeError):
            continue  # the pipeline itself cannot
        wanted = sample(name, pipe, prompts, **mode)
        with ToneGuidance(pipe, strength=strengths):
            made = sample(name, pipe, [PROMPT] * len(strengths), **mode)
        effect, rounding = float((wanted - plain).abs().max()), float((wanted - toned).abs().max())
        assert effect > 0, "in half precision the tone words change nothing: the test is wrong"
        kind = str(precision).removeprefix("torch.")
        difference = float((made - wanted).abs().max())
        assert difference <= min(rounding, effect / 2), f"off by {difference:.2g} of {effect:.2g} in {kind}"
        return kind
    return "not on a CPU"


def as_on_any_processor(rows: dict[str, Row], page: str) -> dict[str, Row]:
    """The rows as the page has to show them: what was equal to rounding anywhere is said to be so, for where
    a batch is padded further, it depends on the processor whether the last bits are the same.
    """
    lines = {line.split(" | ")[0].strip("| "): line for line in page.splitlines() if line.startswith("| ")}
    known = {name for name in rows if "| to rounding |" in lines.get(name.removesuffix("Pipeline"), "")}
    return {
        name: replace(row, zero="to rounding") if name in known and row.zero == "bit for bit" else row
        for name, row in rows.items()
    }


def table(rows: dict[str, Row]) -> str:
    """The table of docs/steering.md."""
    lines = [
        "| pipeline | `embedding` | `start`, `stop` | `semantic` | strength 0 beside others | guidance "
        "| several pictures a prompt | half precision | `prompt` |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {name.removesuffix('Pipeline')} | {row.embedding} | {row.window} | {row.semantic} | {row.zero} "
        f"| {row.guidance} | {row.several} | {row.half} | {row.prompt} |"
        for name, row in sorted(rows.items())
    ]
    lines += ["", "Refused, with this reason:", ""]
    lines += [f"- {name.removesuffix('Pipeline')}: {reason}." for name, reason in sorted(REFUSED.items())]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    found = {name: check(name) for name in sorted(CASES)}
    text = PAGE.read_text("utf-8")
    begin, rest = text.split(f"{BEGIN}\n")
    found = as_on_any_processor(found, rest.split(END)[0])
    PAGE.write_text(f"{begin}{BEGIN}\n{table(found)}{END}{rest.split(END)[1]}", "utf-8")
