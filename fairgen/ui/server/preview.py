"""What other programs show of a link to the page: fairgen's title and sentence instead of Gradio's own."""

from __future__ import annotations

import re

from starlette.datastructures import MutableHeaders
from starlette.types import Message, Scope, Send

TITLE = "fairgen: declare the skin tones of generated pictures"
SENTENCE = (
    "Declare the skin tones that a set of generated pictures should show, steer the model, and see how close "
    "it comes."
)
PREVIEW = (
    f"<title>{TITLE}</title>"
    f'<meta name="description" content="{SENTENCE}">'
    '<link rel="icon" type="image/png" href="./favicon.ico">'
    f'<meta property="og:title" content="{TITLE}">'
    f'<meta property="og:description" content="{SENTENCE}">'
    '<meta property="og:site_name" content="fairgen">'
    '<meta property="og:type" content="website">'
    '<meta name="twitter:card" content="summary">'
    f'<meta name="twitter:title" content="{TITLE}">'
    f'<meta name="twitter:description" content="{SENTENCE}">'
).encode()
_GRADIO = re.compile(rb'<meta\s+(?:property="og:|name="twitter:)[^>]*>\s*')


def own_preview(page: bytes) -> bytes:
    """The page with `PREVIEW` in place of what Gradio's template says to programs that show links.

    What comes after the first script, the page's configuration among it, is left as it is.
    """
    head, script, rest = page.partition(b"<script")
    head = _GRADIO.sub(b"", head)
    return head.replace(b"<head>", b"<head>" + PREVIEW, 1) + script + rest


def unpacked(scope: Scope) -> Scope:
    """The request without a wish for a packed answer, which could not be rewritten."""
    return {**scope, "headers": [(k, v) for k, v in scope["headers"] if k.lower() != b"accept-encoding"]}


def rewriting(send: Send) -> Send:
    """Passes an answer on; a whole HTML page once it is there, with `own_preview`."""
    start: Message | None = None
    body = bytearray()

    async def rewritten(message: Message) -> None:
        nonlocal start
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            if message["status"] == 200 and headers.get("content-type", "").startswith("text/html"):
                start = message
                return
        if start is None or message["type"] != "http.response.body":
            await send(message)
            return
        body.extend(message.get("body", b""))
        if message.get("more_body"):
            return
        page = own_preview(bytes(body))
        MutableHeaders(scope=start)["Content-Length"] = str(len(page))
        await send(start)
        await send({"type": "http.response.body", "body": page})

    return rewritten
