"""What counts as a web address."""

from __future__ import annotations

import pytest

from fairgen.common.addresses import is_web_address


@pytest.mark.parametrize(
    ("url", "good"),
    [
        ("http://localhost:11434/v1", True),
        ("https://example.org", True),
        ("http://[::1]:8000", True),
        ("ftp://example.org", False),
        ("example.org", False),
        ("http://", False),
        ("http://[::1", False),
        ("http://example.org:0", False),
        ("http://example.org:99999", False),
        ("http://example.org:one", False),
        ("", False),
    ],
)
def test_an_address_names_a_scheme_a_host_and_a_port_that_there_is(url: str, good: bool) -> None:
    assert is_web_address(url) is good
