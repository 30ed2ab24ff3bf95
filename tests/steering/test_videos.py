"""Pipelines that make videos: fairgen takes the middle frame, and steers them like any other."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from fairgen.errors import UserError
from fairgen.models.diffusers import DiffusersModel
from fairgen.models.loading import wrap_pipeline
from fairgen.steering import Steering
from fairgen.steering.request import Request
from tests.doubles import tiny_text
from tests.doubles.acting import DARK, PROMPT, as_toned
from tests.doubles.text_to_image.case import ready
from tests.doubles.text_to_image.parts import flow
from tests.doubles.text_to_image.stable_diffusion import sd_parts

pytestmark = pytest.mark.filterwarnings(r"ignore:.*is deprecated:FutureWarning")  # of diffusers' own classes
FRAMES = 5


def animate_diff() -> Any:
    from diffusers import AnimateDiffPipeline, MotionAdapter

    parts = sd_parts()
    adapter = MotionAdapter(
        block_out_channels=(8, 16), motion_layers_per_block=1, motion_norm_num_groups=2,
        motion_num_attention_heads=2,
    )  # fmt: skip
    known = ("vae", "text_encoder", "tokenizer", "unet", "scheduler")
    return AnimateDiffPipeline(motion_adapter=adapter, **{name: parts[name] for name in known})


def wan() -> Any:
    from diffusers import AutoencoderKLWan, WanPipeline, WanTransformer3DModel

    return WanPipeline(
        vae=AutoencoderKLWan(
            base_dim=3, z_dim=16, dim_mult=[1, 1, 1, 1], num_res_blocks=1,
            temperal_downsample=[False, True, True],
        ),
        transformer=WanTransformer3DModel(
            patch_size=(1, 2, 2), num_attention_heads=2, attention_head_dim=12, in_channels=16,
            out_channels=16, text_dim=32, freq_dim=256, ffn_dim=32, num_layers=2, cross_attn_norm=True,
            qk_norm="rms_norm_across_heads", rope_max_seq_len=32,
        ),
        text_encoder=tiny_text.t5(multilingual=True), tokenizer=tiny_text.tokenizer(64), scheduler=flow(),
    )  # fmt: skip


@pytest.fixture(scope="module", params=[animate_diff, wan], ids=["AnimateDiff", "Wan"])
def video(request: pytest.FixtureRequest) -> Any:
    torch.manual_seed(0)
    return ready(request.param())


@pytest.mark.parametrize("given", [{}, {"stop": 0.9}, {"technique": "semantic"}], ids=str)
def test_videos_are_steered(video: Any, given: dict[str, Any]) -> None:
    def call(prompt: str) -> torch.Tensor:
        made = video(
            prompt=[prompt] * 2, generator=[torch.Generator().manual_seed(seed) for seed in range(2)],
            num_inference_steps=2, output_type="latent", height=16, width=16, num_frames=FRAMES,
        )  # fmt: skip
        return torch.as_tensor(made.frames)

    as_toned(video, call, **given)


def model(video: Any) -> DiffusersModel:
    bare = wrap_pipeline(video, steps=2, height=16, width=16)
    return bare.called_with({"num_frames": FRAMES})


def test_a_set_takes_the_middle_frame_of_each_video(video: Any) -> None:
    plain, toned = (np.asarray(p) for p in model(video).generate([Request(PROMPT, 0), Request(DARK, 1)]))
    steered = model(video).generate(
        [Request(PROMPT, 0), Request(PROMPT, 1, strength=1.0)], Steering("embedding")
    )
    assert np.array_equal(np.asarray(steered[0]), plain)
    assert np.array_equal(np.asarray(steered[1]), toned)
    words = model(video).generate([Request(DARK, 1)])
    assert np.abs(np.asarray(words[0], dtype=int) - toned).max() <= 1, "words alone work as well"


def test_what_makes_no_pictures_is_refused(video: Any) -> None:
    class Sound:
        audios = np.zeros((1, 8))

    made = model(video)
    made.pipe = lambda **_: Sound()
    with pytest.raises(UserError, match="returns no pictures: fairgen needs a text-to-image pipeline"):
        made.generate([Request(PROMPT, 0)])
