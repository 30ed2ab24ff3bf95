"""The model and how it samples, in a browser: an own single file, LoRAs, settings, seeds, calibration."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.doubles import original_layout
from tests.doubles.ui_server import LONG, Served, environment, free_port, serious, wait_for
from tests.doubles.warm_commands import WarmCommand
from tests.ui.test_ui_generate import DONE

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

    from fairgen.models.diffusers import DiffusersModel

pytestmark = pytest.mark.embedded


@pytest.fixture(scope="module")
def model_folder(
    tmp_path_factory: pytest.TempPathFactory, embedded_model: Path, embedded_generator: DiffusersModel
) -> Path:
    """The embedded model as one file with its configuration beside it, quick settings, a LoRA, an autoencoder
    and a textual inversion.
    """
    import numpy as np
    from safetensors.numpy import save_file

    folder = tmp_path_factory.mktemp("models")
    original_layout.save_stable_diffusion(embedded_generator.pipe, folder / "mine.safetensors")
    shutil.copytree(embedded_model, folder / "mine")
    (folder / "quick.yaml").write_text("model: mine.safetensors\nsteps: 2\n")
    (folder / "styles").mkdir()
    save_file(_lora(embedded_generator), folder / "styles" / "ink.safetensors")
    shutil.copytree(embedded_model / "vae", folder / "sharp")
    wide = embedded_generator.pipe.text_encoder.config.hidden_size
    save_file({"emb_params": np.ones((1, wide), dtype="float32")}, folder / "styles" / "smile.safetensors")
    (folder / "damaged.safetensors").write_bytes(b"no weights")
    return folder


def _lora(model: DiffusersModel) -> dict[str, Any]:
    """A small LoRA of one attention layer, in the form of PEFT."""
    import numpy as np

    name, layer = next(
        (name, part) for name, part in model.pipe.unet.named_modules() if name.endswith("attn1.to_q")
    )
    rng = np.random.default_rng(0)
    high, wide = layer.weight.shape
    return {
        f"unet.{name}.lora_A.weight": rng.normal(0, 0.2, (2, wide)).astype("float32"),
        f"unet.{name}.lora_B.weight": rng.normal(0, 0.2, (high, 2)).astype("float32"),
    }


def _calibrated(folder: Path, home: Path, embedded: DiffusersModel) -> None:
    """Keep a calibration of quick.yaml, which takes minutes to make: that of the model it is a copy of."""
    from fairgen.models.loading import load_model
    from fairgen.steering.calibration import save_calibration

    known = embedded.calibration("embedding")
    assert known is not None
    save_calibration(known, load_model(str(folder / "quick.yaml"), "cpu").info, home / "calibrations")


@pytest.fixture(scope="module")
def shop(
    tmp_path_factory: pytest.TempPathFactory, model_folder: Path, embedded_generator: DiffusersModel
) -> Iterator[Served]:
    """A server with a folder of models."""
    folder = tmp_path_factory.mktemp("shop")
    _calibrated(model_folder, folder / "home", embedded_generator)
    port, log = free_port(), folder / "server.log"
    asked = ["serve", "--port", str(port), "--runs", str(folder / "runs")]
    asked += ["--model-folder", str(model_folder)]
    env = environment() | {"FAIRGEN_HOME": str(folder / "home")}
    process = WarmCommand(*asked, cwd=folder, stdout=log, stderr=log, env=env)
    url = f"http://127.0.0.1:{port}/"
    try:
        wait_for(url, process, log)
        yield Served(url, folder / "runs", log, 0.0, process.pid)
    finally:
        process.terminate()
        process.wait(30)


@pytest.fixture
def visitor(browser: Browser, shop: Served) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 1280, "height": 900}, reduced_motion="reduce")
    page = context.new_page()
    page.set_default_timeout(LONG)
    page.goto(shop.url)
    page.wait_for_selector("#fg-model-facts [data-technique]")
    yield page
    context.close()


def newest_record(served: Served) -> dict[str, Any]:
    """The set in the newest run file."""
    file = max(served.runs.glob("web-generate-*/run.jsonl"), key=lambda file: file.stat().st_mtime_ns)
    lines = [json.loads(line) for line in file.read_text("utf-8").splitlines()]
    record: dict[str, Any] = next(line for line in lines if line.get("type") == "session")
    return record


def make(page: Page, count: int) -> None:
    page.locator("#fg-count input[type=number]").fill(str(count))
    page.locator("#fg-count input[type=number]").blur()
    page.click("#fg-go")
    page.wait_for_selector("#fg-go[disabled]")
    page.wait_for_selector("#fg-go:not([disabled])")


def uncalibrated(page: Page) -> None:
    """Choose quick.yaml with steps that nobody has measured."""
    page.locator("#fg-model input").click()
    page.get_by_role("option", name="quick.yaml").click()
    page.wait_for_selector("#fg-model-facts [data-calibrated=true] >> text=2 steps")
    assert "It reaches" in page.inner_text("#fg-model-facts")
    page.click("#fg-more button")
    page.locator("#fg-steps textarea, #fg-steps input").fill("3")
    page.locator("#fg-steps textarea, #fg-steps input").blur()
    page.wait_for_selector("#fg-model-facts [data-calibrated=false] >> text=3 steps")
    page.click("#fg-calibrate button")
    page.click("#fg-calibrate-go")
    page.wait_for_selector("#fg-calibrate-shown >> text=of 81 trial pictures")


def test_a_calibration_is_begun_and_stopped(visitor: Page) -> None:
    page = visitor
    uncalibrated(page)
    page.click("#fg-calibrate-stop")
    page.wait_for_selector("#fg-calibrate-shown >> text=nothing of it is kept")
    page.wait_for_selector("#fg-calibrate-go:not([disabled])")
    assert page.locator("#fg-model-facts [data-calibrated=false]").count() == 1


@pytest.mark.exhaustive
def test_a_model_is_calibrated_by_a_button_with_its_sheet(visitor: Page) -> None:
    page = visitor
    page.set_default_timeout(10 * LONG)
    uncalibrated(page)
    page.wait_for_selector("#fg-calibrate-shown img")
    assert page.locator("#fg-calibrate-shown img").evaluate("i => i.naturalHeight") == 9 * 96
    page.wait_for_selector("#fg-model-facts [data-calibrated=true]")
    facts = page.inner_text("#fg-model-facts")
    assert "Calibrated." in facts
    assert (
        "It reaches" in facts or "More steering does not always mean darker" in facts
    )  # three steps are few


def test_an_own_model_is_chosen_and_makes_a_set_with_four_clicks(visitor: Page, shop: Served) -> None:
    page, clicks = visitor, 0
    assert "Plug in your own" in page.inner_text("#fg-model-facts")
    page.locator("#fg-model input").click()
    offered = page.get_by_role("option").all_inner_texts()
    assert [text.split(" (")[0].strip("✓ \n") for text in offered[1:]] == ["mine.safetensors", "quick.yaml"]
    page.get_by_role("option", name="quick.yaml").click()
    clicks += 2
    page.wait_for_selector("#fg-model-facts >> text=2 steps")
    page.locator("#fg-count input[type=number]").fill("2")
    page.click("#fg-go")
    clicks += 1
    page.wait_for_selector(DONE)
    assert clicks <= 4
    record = newest_record(shop)
    assert record["model"]["name"] == "quick.yaml"
    assert "mine.safetensors" in record["model"]["weights"]
    assert record["model"]["steps"] == 2


def test_settings_and_a_lora_are_used_recorded_and_two_clicks_differ(visitor: Page, shop: Served) -> None:
    page = visitor
    page.locator("#fg-loras input[list]").fill("styles/ink.safetensors")
    page.locator("#fg-loras input[list]").press("Enter")
    page.locator("#fg-loras .fg-files-row input").fill("0.4")
    page.click("#fg-more button")
    page.locator("#fg-negative textarea, #fg-negative input").fill("glasses")
    page.locator("#fg-steps textarea, #fg-steps input").fill("2")
    page.locator("#fg-guidance textarea, #fg-guidance input").fill("2,5")
    page.locator("#fg-size input").click()
    page.get_by_role("option", name="3:4").click()
    page.get_by_label("How to steer").click()
    page.get_by_role("option", name="Unsteered").click()
    seeds = []
    for _ in range(2):
        make(page, 1)
        record = newest_record(shop)
        seeds.append(record["seed"])
        assert page.locator("#fg-seed input").input_value() == str(record["seed"])
    assert seeds[0] != seeds[1]
    model = record["model"]
    assert (model["steps"], model["guidance_scale"]) == (2, 2.5)
    assert (model["width"], model["height"]) == (224, 288)
    assert model["options"]["negative_prompt"] == "glasses"
    assert model["options"]["lora"] == [{"file": "styles/ink.safetensors", "weight": 0.4}]
    assert any(name.startswith("lora ink.safetensors x 0.4") for name in model["weights"])
    page.locator("#fg-seed input").fill("7")  # typed, so kept
    page.wait_for_selector("#fg-seed-keep input:checked")
    for _ in range(2):
        make(page, 1)
        assert newest_record(shop)["seed"] == 7
    page.locator("#fg-steps textarea, #fg-steps input").fill("many")
    page.click("#fg-go")
    page.wait_for_selector("#fg-status .fg-status-error >> text=must be a number")


def test_other_files_and_memory_are_used_recorded_and_found_again(visitor: Page, shop: Served) -> None:
    page = visitor
    page.click("#fg-opening button")
    page.locator("#fg-words input[list]").fill("styles/smile.safetensors")
    page.locator("#fg-words input[list]").press("Enter")
    page.locator("#fg-words .fg-files-row input").fill("grin")
    page.locator("#fg-words .fg-files-row input").press("Tab")
    page.locator("#fg-vae input").click()
    page.get_by_role("option", name="sharp").click()
    page.get_by_label("Precision").click()
    page.get_by_role("option", name="bfloat16").click()
    page.get_by_label("tile by tile").check()
    page.get_by_label("What waits outside the graphics card").click()
    page.get_by_role("option", name="Whole parts").click()
    page.wait_for_selector("#fg-model-facts .fg-model-error >> text=this device is the CPU")
    page.get_by_label("What waits outside the graphics card").click()
    page.get_by_role("option", name="Nothing").click()
    page.wait_for_selector("#fg-model-facts [data-technique]")
    page.wait_for_selector("[role=listbox]", state="detached")
    assert not serious(page, ("minor", "moderate", "serious", "critical"))
    page.click("#fg-more button")
    page.locator("#fg-steps textarea, #fg-steps input").fill("2")
    page.get_by_label("How to steer").click()
    page.get_by_role("option", name="Unsteered").click()
    page.locator("#fg-prompt textarea").fill("a portrait of a chef, grin")
    make(page, 1)
    model = newest_record(shop)["model"]
    chosen = {
        "textual_inversion": [{"file": "styles/smile.safetensors", "token": "grin"}],
        "vae": "sharp",
        "dtype": "bfloat16",
        "vae_tiling": True,
        "steps": 2,
    }
    assert model["options"] == chosen
    assert model["dtype"] == "bfloat16"
    assert {"textual inversion 0 grin", "vae tiling"} <= set(model["weights"])

    page.reload()
    page.wait_for_selector("text=Your earlier sets (1)")
    use = page.locator("#fg-earlier-sets >> text=Use these settings")
    for _ in range(20):  # the list may have been opened for the visitor
        if use.is_visible():
            break
        page.click("#fg-earlier button")
        page.wait_for_timeout(500)
    use.click()
    page.wait_for_selector("#fg-model-facts >> text=pixels, 2 steps")
    page.click("#fg-opening button")
    page.wait_for_selector("#fg-words .fg-files-row")
    assert page.locator("#fg-words .fg-files-row input").input_value() == "grin"
    assert page.locator("#fg-vae input").input_value() == "sharp"
    assert page.get_by_label("tile by tile").is_checked()
    make(page, 1)
    assert newest_record(shop)["model"]["options"] == chosen


def test_what_cannot_be_opened_is_said_where_it_is_chosen(visitor: Page, tmp_path: Path) -> None:
    page = visitor
    page.locator("#fg-model input").fill(str(tmp_path / "nothing.safetensors"))
    page.locator("#fg-model input").press("Enter")
    page.wait_for_selector("#fg-model-facts .fg-model-error >> text=There is no file")


def test_a_press_reaches_the_button_that_an_answer_moves(visitor: Page) -> None:
    page = visitor
    page.set_viewport_size({"width": 1280, "height": 1800})  # what moves is seen, and not scrolled away
    page.locator("#fg-prompt textarea").fill("")
    page.click("#fg-more button")
    page.locator("#fg-size input").click()
    page.get_by_role("option", name="Set by hand").click()
    page.wait_for_selector("#fg-model-facts .fg-model-error >> text=width")
    page.locator("#fg-height input, #fg-height textarea").fill("64")
    page.locator("#fg-width input, #fg-width textarea").fill("64")
    go = page.locator("#fg-go")
    go.scroll_into_view_if_needed()
    before = go.bounding_box()
    assert before is not None
    page.mouse.move(before["x"] + before["width"] / 2, before["y"] + before["height"] / 2)
    page.mouse.down()  # the field is left: its value is looked at
    page.wait_for_selector("#fg-model-facts [data-technique]")
    moved = go.bounding_box()
    assert moved is not None
    assert abs(moved["y"] - before["y"]) > before["height"]
    page.mouse.up()
    page.wait_for_selector("#fg-status [role=alert]")
