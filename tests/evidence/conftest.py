"""One small audit and one signed pack of it, for all tests of evidence packs."""

from __future__ import annotations

from pathlib import Path

import pytest

from fairgen.evidence import check_pack, plan_pack
from fairgen.evidence.check import PackCheck
from fairgen.provenance.documents import DocumentSigner
from tests.doubles.c2pa_authority import ROOT, config
from tests.doubles.evidence_packs import WHEN, Insider, make_run


def checked(pack: Path, trust: Path | None = None) -> PackCheck:
    """What a check says of a pack."""
    steps = check_pack(pack, trust)
    while True:
        try:
            next(steps)
        except StopIteration as stop:
            found: PackCheck = stop.value
            return found


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished audit of two prompts in two arms."""
    return make_run(tmp_path_factory.mktemp("evidence"))


@pytest.fixture(scope="session")
def document_signer(tmp_path_factory: pytest.TempPathFactory) -> DocumentSigner:
    """Signs as pictures are signed in the tests."""
    return DocumentSigner(config(tmp_path_factory.mktemp("document-signer")))


@pytest.fixture(scope="session")
def insider(document_signer: DocumentSigner) -> Insider:
    """Holds the key of the pack's own signer."""
    return Insider(document_signer)


@pytest.fixture(scope="session")
def pack(run: Path, document_signer: DocumentSigner, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A signed pack with all pictures."""
    out = tmp_path_factory.mktemp("pack") / "pack.zip"
    for _ in plan_pack([run], signer=document_signer, created_at=WHEN).write(out):
        pass
    return out


@pytest.fixture(scope="session")
def roots(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The authority that issued the signer's certificate."""
    path = tmp_path_factory.mktemp("roots") / "roots.pem"
    path.write_bytes(ROOT.pem)
    return path
