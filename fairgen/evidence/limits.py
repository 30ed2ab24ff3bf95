"""What a pack does not show: limits that always hold, and those of its own runs."""

from __future__ import annotations

from collections.abc import Iterator

from fairgen.evidence.approvals import SpecStatement
from fairgen.evidence.facts import RunFacts
from fairgen.evidence.identity import ReaderIdentity
from fairgen.evidence.inputs import IDENTITY, RENDERS, Inputs

__all__ = ["limits"]

_ALWAYS = (
    "Skin tone is what the pixels of a synthetic picture show. It is not race, not ethnicity, and says "
    "nothing about any person. No other attribute (age, sex, clothing, setting) was measured.",
    "The target is a choice that somebody declared. The pack shows how close the pictures came to it, and "
    "not whether it is the right one.",
    "The prompts are those that were listed, and the seeds follow from one number. Other prompts, seeds or "
    "settings may come out otherwise.",
    "Skin tones were read by software, with the errors that reader/ states; ratings by people with many "
    "skin tones, on calibrated screens, are missing.",
    "Hashes and a signature show that nothing was changed since the pack was signed. Whether a run file "
    "told the truth when it was written rests on who signed it.",
    "The reader is not named in the run file: its identity here is that of the software that wrote the pack.",
)


def limits(inputs: Inputs, facts: list[RunFacts], specs: list[SpecStatement]) -> list[str]:
    """Sentences, those of this pack first."""
    return [*_of_pack(inputs), *(text for one in facts for text in _of_run(one)), *_of_specs(specs), *_ALWAYS]


def _of_pack(inputs: Inputs) -> Iterator[str]:
    if inputs.signer is None:
        yield "The manifest is not signed: anybody could have written this pack, or written it anew."
    elif not inputs.signer.timestamps:
        yield "No authority states when the manifest was signed: the time in it is the signer's word."
    identity = ReaderIdentity.model_validate(inputs.documents[IDENTITY])
    measured = ReaderIdentity.model_validate(inputs.documents[RENDERS]["reader"])
    if not identity.same_reader(measured):
        yield (
            "The reader's confusion in reader/ was measured with another reader than the one installed "
            "where the pack was written: their hashes differ."
        )
    yield from inputs.documents["models/cards.json"].values()


def _of_run(one: RunFacts) -> Iterator[str]:
    name, missing = one.run.title, len(one.left_out)
    if missing:
        yield (
            f"{name}: {missing:,} of {len(one.pictures):,} pictures were left out of the pack. Their "
            "records are "
            "there, with the hash of their pixels: who has the pictures can hold them against it."
        )
    if one.without_hash:
        yield (
            f"{name}: {one.without_hash:,} records of pictures hold no hash of the pixels, as those of "
            "older versions do: that these pictures are the ones that were read rests on the manifest alone."
        )
    for problem in one.figures.problems:
        yield f"{name}: {problem}"
    if not one.figures.signers:
        yield f"{name}: the pictures carry no signed content credentials."
    if any(model.source == "embedded" for model in one.models):
        yield (
            f"{name}: the pictures are by fairgen's small embedded model, whose bias was built in on "
            "purpose. They say nothing about any other model."
        )


def _of_specs(specs: list[SpecStatement]) -> Iterator[str]:
    for spec in specs:
        if spec.same is None:
            yield f"Spec {spec.name}: this fairgen cannot read it, so its hash was not computed anew."
        if spec.approval != "approved":
            yield f"Spec {spec.name}: {spec.text}."
