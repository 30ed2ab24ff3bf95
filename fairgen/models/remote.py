"""A model behind an OpenAI-compatible images endpoint (``/v1/images/generations``).

Nothing is known of such a model but its name, and nothing of it can be reached but the prompt: it is steered
by words. Every picture is one request, which may cost money.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from io import BytesIO
from typing import Any
from urllib.parse import urlsplit

import httpx2
import openai
from PIL import Image
from pydantic import Base64Bytes, BaseModel, ValidationError

from fairgen.common.libraries import versions
from fairgen.errors import UserError
from fairgen.models.contract import FLAGGED
from fairgen.models.kinds import REMOTE
from fairgen.models.options import ModelOptions
from fairgen.runs import ModelInfo
from fairgen.steering import Steering, registry
from fairgen.steering.calibration import Calibration
from fairgen.steering.request import Request
from fairgen.targets.sources.endpoint import run
from fairgen.targets.sources.plain_text import readable, without
from fairgen.targets.sources.request_form import said_in
from fairgen.targets.sources.server import NO_KEY, OPENAI, checked_address, key_to_use

__all__ = ["ADDRESS", "KEY", "RemoteModel", "load_remote"]

ADDRESS, KEY = "FAIRGEN_IMAGES_URL", "FAIRGEN_IMAGES_KEY"
"""Variables of the environment for pictures alone; without the first, OpenAI's own count."""
_TAKES = ("height", "width", "api_quality", "api_seeds")
_REFUSED_PROMPT = ("moderation_blocked", "content_policy_violation", "content_filter", "contentfilter")
_REFUSES_A_PARAMETER = (400, 415, 422)
_SECONDS = 180.0
"""Of silence, after which a request is given up: the slowest models take about two minutes."""
_RETRIES = 4
_MOST_BYTES = 64 * 1024 * 1024
_MOST_PIXELS = 64_000_000
_FORMATS = ("PNG", "JPEG", "WEBP")
_ONE_SIDE, _BLANK = 4096, (512, 512)


class _Picture(BaseModel):
    b64_json: Base64Bytes | None = None
    url: str | None = None


class _Answer(BaseModel):
    data: list[_Picture]


class _TooLarge(Exception):
    """An answer's body is not read any further."""


class RemoteModel:
    """One model at one address, with fixed settings. See `load_remote`."""

    default_batch_size = 4
    """Requests at once unless the user says otherwise."""
    threads: int | None = None
    """No picture is made here."""

    def __init__(self, model: str, address: str, key: str, info: ModelInfo) -> None:
        self.model = model
        self.address = address
        self.info = info
        self._key = key
        self._asks_for_base64 = not model.startswith("gpt-image")  # these send nothing else, and refuse it

    def check_prompts(self, prompts: Sequence[str]) -> None:
        """Nothing: how long a prompt the model reads is not known."""

    def chosen_technique(self, name: str) -> str:
        """As `Model.chosen_technique`: "auto" is words in the prompt."""
        name = registry.check_technique(name)
        return "prompt" if name == registry.AUTO else name

    def check_techniques(self, names: Sequence[str]) -> None:
        """As `Model.check_techniques`: nothing inside such a model can be reached."""
        for name in names:
            if self.chosen_technique(name) in registry.continuous():
                raise UserError(
                    f"{self.model} is behind an API, which takes a prompt and gives a picture: it can be "
                    "steered by words only (prompt), not inside sampling."
                )

    def calibration(self, technique: str) -> Calibration | None:
        """None: words have no strength."""
        return None

    def generate(self, requests: Sequence[Request], steering: Steering | None = None) -> list[Image.Image]:
        """One RGB picture for each request, asked for all at once. A prompt that the service refuses by its
        rules for content gives a black picture, marked with `FLAGGED`.

        Raises:
            UserError: the service cannot be reached, refuses the request or the key, or sends no picture.
        """
        if any(request.strength for request in requests):
            self.check_techniques(registry.continuous())
        if any(request.extra for request in requests):
            raise UserError(f"{self.model} is behind an API, which takes a prompt and no further arguments.")
        return run(self._all(requests))

    async def _all(self, requests: Sequence[Request]) -> list[Image.Image]:
        async with openai.AsyncOpenAI(
            api_key=self._key,
            base_url=self.address,
            timeout=httpx2.Timeout(_SECONDS, connect=10.0),
            max_retries=_RETRIES,
            default_headers={"Accept-Encoding": "identity"},  # else a small answer could unpack to a huge one
        ) as client:
            # Each comes to its end: what others cost is spent, and a failure of one is told after that.
            made = await asyncio.gather(
                *(self._one(client, request) for request in requests), return_exceptions=True
            )
        for one in made:
            if isinstance(one, BaseException):
                raise one
        return [one for one in made if isinstance(one, Image.Image)]

    async def _one(self, client: openai.AsyncOpenAI, request: Request) -> Image.Image:
        try:
            try:
                body = await self._asked(client, request)
            except httpx2.TransportError:  # it broke off; what breaks before is tried again by openai
                body = await self._asked(client, request)
            return self._decoded(body)
        except openai.BadRequestError as error:
            if str(error.code or "").lower() in _REFUSED_PROMPT:
                return self._blank()
            raise self._explained(error) from None
        except openai.OpenAIError as error:
            raise self._explained(error) from None
        except httpx2.TransportError as error:
            raise self._failed(f"its answer broke off, twice ({type(error).__name__})") from None
        except _TooLarge:
            raise self._failed(f"its answer is larger than {_MOST_BYTES >> 20} MiB") from None

    async def _asked(self, client: openai.AsyncOpenAI, request: Request) -> bytes:
        """The body of the answer."""
        given: dict[str, Any] = {"model": self.model, "prompt": request.prompt, "n": 1}
        if self.info.width and self.info.height:
            given["size"] = f"{self.info.width}x{self.info.height}"
        if (quality := self.info.arguments.get("quality")) is not None:
            given["quality"] = quality
        if self.info.seeded:
            given["extra_body"] = {"seed": request.seed}
        generate: Any = client.images.with_streaming_response.generate
        while True:
            form = {"response_format": "b64_json"} if self._asks_for_base64 else {}
            try:
                async with generate(**given, **form) as response:
                    body = bytearray()
                    async for piece in response.iter_bytes():
                        body += piece
                        if len(body) > _MOST_BYTES:
                            raise _TooLarge
                    return bytes(body)
            except openai.APIStatusError as error:
                named = "response_format" in said_in(error)
                if not (form and named and error.status_code in _REFUSES_A_PARAMETER):
                    raise
                self._asks_for_base64 = False  # the picture is the same: only how it is sent differs

    def _decoded(self, body: bytes) -> Image.Image:
        try:
            found = _Answer.model_validate_json(body).data[0]
        except (ValidationError, IndexError):
            raise self._failed("its answer holds no picture") from None
        if found.b64_json is None:
            raise self._failed(
                "it answers with the address of a picture instead of the picture (b64_json), and fairgen "
                "fetches no addresses"
            )
        try:
            with Image.open(BytesIO(found.b64_json), formats=_FORMATS) as picture:
                if picture.width * picture.height > _MOST_PIXELS:
                    raise self._failed(f"its picture has {picture.width} x {picture.height} pixels")
                picture.load()
                shown = picture.convert("RGBA" if picture.has_transparency_data else "RGB")
        except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
            raise self._failed("its picture is no PNG, JPEG or WebP, or is damaged") from None
        plain = Image.new("RGB", shown.size, "white")
        plain.paste(shown, mask=shown.getchannel("A") if shown.mode == "RGBA" else None)
        return plain

    def _blank(self) -> Image.Image:
        size = (self.info.width or _BLANK[0], self.info.height or _BLANK[1])
        picture = Image.new("RGB", size)
        picture.info[FLAGGED] = True
        return picture

    def _explained(self, error: openai.OpenAIError) -> UserError:
        """What a server says about a wrong key may quote the key."""
        words = self._words(error) if isinstance(error, openai.APIStatusError) else ""
        times = f"{_RETRIES + 1} times"
        match error:
            case openai.AuthenticationError() | openai.PermissionDeniedError():
                why = f"it refuses the key (HTTP {error.status_code}): {_key_help(self.address)}"
            case openai.NotFoundError():
                why = f"it knows no such model, or makes no pictures at this address (HTTP 404{words})"
            case openai.RateLimitError():
                why = f"too many requests, or no credit left (HTTP 429{words}); what was made is kept"
            case openai.APIStatusError() if error.status_code < 500:
                seeds = "; leave --api-seeds out if it takes no seeds" if self.info.seeded else ""
                why = f"it refuses the request (HTTP {error.status_code}{words}){seeds}"
            case openai.APIStatusError():
                why = f"it failed (HTTP {error.status_code}), {times}"
            case openai.APITimeoutError():
                why = f"no answer within {_SECONDS:g} seconds, {times}"
            case openai.APIConnectionError():
                why = f"it cannot be reached, {times}; check the address"
            case _:
                why = f"the request failed ({type(error).__name__})"
        return self._failed(why)

    def _failed(self, why: str) -> UserError:
        return UserError(f"{self.model} at {self.address} made no picture: {why}.")

    def _words(self, error: openai.APIStatusError) -> str:
        """The server's own words, as one short line that no terminal obeys, without the key."""
        line = " ".join(readable(without(self._key, said_in(error)))[0].split())[:200].rstrip(".")
        return f": {line}" if line else ""


def load_remote(
    model: str,
    device: str = "auto",
    *,
    name: str | None = None,
    options: ModelOptions | None = None,
    **given: Any,
) -> RemoteModel:
    """A model behind an OpenAI-compatible images API, as `load_model` has it. Nothing is asked of it yet.

    The address is that of ``FAIRGEN_IMAGES_URL``, with the key in ``FAIRGEN_IMAGES_KEY``. Without it, it is
    that of ``OPENAI_BASE_URL``, or else OpenAI, with the key in ``OPENAI_API_KEY``. No key goes elsewhere,
    and no address is taken from a model's name, a file of settings or a run.

    Args:
        model: ``api:`` and the name that the service knows.
        device: is not used: the service has its own.
        name: what run files call it; default: ``model``.
        options: ``height`` and ``width`` (both or none), ``api_quality`` and ``api_seeds``; others are
            refused.
        given: fields of `ModelOptions` by name, which count before ``options``.

    Raises:
        UserError: there is no such name, an option is not one for such models, or the address or the key
            cannot be used.
    """
    chosen = ModelOptions.of(given).over(options or ModelOptions())
    called = model.removeprefix(REMOTE)
    if not called.strip() or not called.isprintable() or len(called) > 200:
        raise UserError(
            f"{REMOTE} names no model: put the service's name for it behind, as in api:gpt-image-1."
        )
    for field in chosen.given():
        if field not in _TAKES:
            raise UserError(
                f"{called} is behind an API, which takes no {field.replace('_', ' ')}: leave it out. Size "
                "and quality can be chosen."
            )
    if (chosen.width is None) != (chosen.height is None):
        raise UserError("The size needs both width and height in pixels, or neither.")
    for side in (chosen.width, chosen.height):
        if side is not None and not 16 <= side <= _ONE_SIDE:
            raise UserError(f"Each side must have from 16 to {_ONE_SIDE} pixels, not {side}.")
    address, key = _address_and_key()
    called_with = {"address": address, "model": called, "quality": chosen.api_quality}
    info = ModelInfo(
        name=name or model,
        source="api",
        pipeline="images API",
        scheduler="unknown",
        device="service",
        dtype="unknown",
        steps=None,
        guidance_scale=None,
        height=chosen.height,
        width=chosen.width,
        weights={},
        versions=versions("openai", "numpy", "pillow", "mediapipe"),
        arguments={key: value for key, value in called_with.items() if value is not None},
        options=chosen.given(),
        seeded=chosen.api_seeds,
    )
    return RemoteModel(called, address, key, info)


def _address_and_key() -> tuple[str, str]:
    """Where pictures come from, and the key that belongs to that address. Raises `UserError`."""
    own = os.environ.get(ADDRESS, "").strip()
    if own:
        address = checked_address(own, ADDRESS, KEY)
        key = os.environ.get(KEY, "").strip()
        if not key.isascii() or (key and not key.isprintable()):
            raise UserError(f"{KEY} holds characters that no key has: copy it again.")
        return address, key or NO_KEY
    address = checked_address(os.environ.get("OPENAI_BASE_URL") or OPENAI, "OPENAI_BASE_URL")
    key = key_to_use()
    if address == OPENAI and key == NO_KEY:
        raise UserError(
            f"OPENAI_API_KEY is not set: set it, or {ADDRESS} to the address of another service that makes "
            "pictures, such as http://localhost:8080/v1."
        )
    return address, key


def _key_help(address: str) -> str:
    variable = KEY if os.environ.get(ADDRESS, "").strip() else "OPENAI_API_KEY"
    return f"set {variable} to one that {urlsplit(address).hostname} accepts"
