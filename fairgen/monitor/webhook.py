"""Tells a web address of an alarm, where the user gave one."""

from __future__ import annotations

import json
from dataclasses import asdict

from fairgen.common.addresses import is_web_address
from fairgen.errors import UserError
from fairgen.monitor.store import Alarm
from fairgen.monitor.words import alarm_sentence

_SECONDS = 10.0


def check_webhook(url: str) -> str:
    """The address, if an alarm can be sent there; else `UserError`."""
    if not is_web_address(url):
        raise UserError(f"--webhook {url[:80]} is no address: give one that begins with https:// or http://.")
    return url


def post_alarm(url: str, alarm: Alarm) -> str | None:
    """Send an alarm as JSON (POST); None, or why it did not arrive. No redirect is followed.

    The object holds the fields of `Alarm` and ``text``, a sentence, and no picture. The id of a picture in a
    folder holds its name.
    """
    import urllib3

    body = json.dumps(asdict(alarm) | {"text": alarm_sentence(alarm)})
    try:
        with urllib3.PoolManager(retries=urllib3.Retry(2, redirect=False, backoff_factor=0.2)) as pool:
            kind = {"Content-Type": "application/json"}
            answer = pool.request("POST", url, body=body, headers=kind, timeout=_SECONDS)
    except urllib3.exceptions.HTTPError as error:
        return type(error).__name__
    return None if 200 <= answer.status < 300 else f"it answered {answer.status}"
