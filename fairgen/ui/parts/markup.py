"""Templates of the page's own parts. Everything is escaped by the template engine.

Gradio evaluates a component's ``html_template`` in the browser as Handlebars and then as a JavaScript
template literal, so text of users must never stand in a template: it goes into props, and the template holds
nothing but ``${value}`` (whose result is not evaluated again).
"""

from __future__ import annotations

import re
from functools import cache
from importlib import resources
from typing import Any

from jinja2 import Environment

from fairgen.report import words
from fairgen.report.render import escaping_environment
from fairgen.ui.work.live import time_text

TO_RESULTS = """() => {
  const box = [...document.querySelectorAll(".fg-results")].find((found) => found.offsetParent);
  if (innerWidth < 820 || box.getBoundingClientRect().top < 0) box.scrollIntoView({behavior: "smooth"});
}"""
"""On a phone the results lie beneath the controls, and elsewhere above what is seen of long ones."""
TO_MESSAGE = """() => {
  const box = [...document.querySelectorAll(".fg-message")].find((found) => found.offsetParent);
  box?.scrollIntoView({behavior: "smooth", block: "nearest"});
}"""
"""A message may stand outside of what is seen."""


@cache
def _environment() -> Environment:
    environment = escaping_environment("fairgen.ui")
    environment.filters.update(
        reason=words.reason_text, time_left=time_text, pct=percent, chance=chance, plain=plain
    )
    return environment


def percent(share: float) -> str:
    """A share for people: ``17 %``, and ``< 1 %`` rather than a false zero."""
    if 0 < share < 0.005:
        return "<\N{NO-BREAK SPACE}1\N{NO-BREAK SPACE}%"
    return f"{100 * share:.0f}\N{NO-BREAK SPACE}%"


_ON_THE_PAGE = (
    (r"--offload model \(or group\), --device cpu, or a smaller model", "a smaller model or size"),
    (r"--device (auto or )?cpu", "the processor"),
    (r"--steering prompt", "words in the prompt"),
    (r"more --seeds or --prompts, more --steps", "a thorough calibration, more steps"),
    (r"with --base\b", "beside it, with its name"),
    (r"give a model with --model and this file with --lora", "choose a model, and add this file as a LoRA"),
    (r"or use `fairgen audit`", "or audit on the command line"),
    (r"run `fairgen calibrate` first", "calibrate the model first"),
    (r" \(`fairgen calibrate`\)", ""),
)
"""What the library says of its commands, and what that is called on the page."""


def plain(sentence: str) -> str:
    """A sentence of the library without the language of commands: its options are called by their names."""
    for pattern, told in _ON_THE_PAGE:
        sentence = re.sub(pattern, told, sentence)
    return re.sub(r"(?<![\w-])--([a-z][a-z-]+)", lambda m: f"“{m[1].replace('-', ' ')}”", sentence)


def chance(probability: float) -> str:
    """A probability for people: as `percent`, but never a full 100 %."""
    return words.sure(probability) if probability >= 0.995 else percent(probability)


def render(template: str, **values: Any) -> str:
    """One of ``templates/*.html.j2`` with the values, as HTML."""
    return _environment().get_template(f"{template}.html.j2").render(**values)


def macro(template: str, name: str, /, *args: Any, **values: Any) -> str:
    """One macro of a template file."""
    return str(getattr(_environment().get_template(f"{template}.html.j2").module, name)(*args, **values))


def asset(name: str) -> str:
    """A file of the page's own (style sheet, script) as text."""
    return resources.files("fairgen.ui").joinpath("templates", name).read_text(encoding="utf-8")
