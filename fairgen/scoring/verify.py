"""Reads the skin tones of pictures that any generator made, and what the pictures say about themselves, and
holds the tones against a declared target.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from functools import cache, partial
from itertools import takewhile
from operator import ne
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from fairgen import stats
from fairgen.common.text import readable
from fairgen.errors import UserError
from fairgen.provenance.reading import NOTHING_SAID, MarkCounts, MarkReader, Marks, count_marks
from fairgen.runs import RUN_FILE, ReadingDocument, spec_document
from fairgen.scoring.figures import Figures
from fairgen.scoring.numbers import counts_of, figures
from fairgen.scoring.sets import approval_note, default_target_note
from fairgen.targets.support import support_note

if TYPE_CHECKING:
    from PIL.Image import Image

    from fairgen.targets import FairnessSpec
    from skin_tone import SkinToneReader
    from skin_tone.pool import ToneReader
    from skin_tone.second import SecondReader

READERS = ("calibrated", "second")
"""The calibrated reader, with which sets are also steered, and the independent one (`skin_tone.second`)."""


def make_reader(name: str) -> SkinToneReader | SecondReader:
    """The reader of that name. Raises `UserError` for an unknown one."""
    if name == "calibrated":
        from skin_tone import SkinToneReader

        return SkinToneReader()
    if name == "second":
        from skin_tone.second import SecondReader

        return SecondReader()
    raise UserError(f"--reader must be one of {', '.join(READERS)}, not {name!r}.")


KEPT = ("box", "lab", "ita", "ita_sigma", "abstained")
"""Fields of a reading that are kept beside class and probabilities."""


@dataclass(frozen=True)
class PictureResult:
    """One file: its readings as JSON (largest face first), or the reason why it could not be opened.

    Of a reading only `KEPT` is held, on the spec's scale, so that a folder of thousands fits into memory.
    """

    file: Path
    readings: tuple[ReadingDocument, ...] = ()
    measured: str | None = None
    abstained: str | None = None
    unreadable: str | None = None
    marks: Marks = NOTHING_SAID
    """What the picture says about itself."""

    @property
    def name(self) -> str:
        """The file's path for people; bytes that are no UTF-8 stand as ``\\xe9``."""
        return readable(self.file)


@dataclass(frozen=True)
class Verification:
    """All files of one call, and the spec that they are held against.

    ``prompt`` is what the pictures were made of, where that is known: it decides which target of a spec with
    contexts counts. ``left_out`` counts pictures that are no part of a run's sets (`Found`).
    """

    spec: FairnessSpec
    results: tuple[PictureResult, ...]
    reader: str = "calibrated"
    prompt: str | None = None
    left_out: int = 0

    @property
    def context(self) -> int | None:
        """Index of the spec's context that the prompt belongs to; None: the top-level target counts."""
        return None if self.prompt is None else self.spec.context_index(self.prompt)

    @property
    def target(self) -> dict[str, float]:
        """The shares that the pictures are held against."""
        return dict(self.spec.target if self.prompt is None else self.spec.target_for(self.prompt))

    @property
    def notes(self) -> list[str]:
        """Sentences for people: what was used, who approved the spec, what supports it, what may surprise."""
        spec = self.spec
        notes = [approval_note(spec_document(spec), spec.content_hash())]
        if unsupported := support_note(spec_document(spec), self.context):
            notes.append(unsupported)
        if spec.contexts and self.context is None:
            notes.insert(0, default_target_note(spec.name, len(spec.contexts), self.prompt))
        if self.left_out:
            several = self.left_out > 1
            notes.append(
                f"{self.left_out:,} {'pictures' if several else 'picture'} that a fairgen run discarded or "
                f"moved aside {'are' if several else 'is'} left out: to count them, name the folder "
                "that they lie in."
            )
        return notes

    @property
    def counts(self) -> dict[str, int]:
        """Class -> pictures whose largest face shows it; classes light to dark, zeros included."""
        return counts_of(self.target, (r.measured for r in self.results))

    @property
    def abstentions(self) -> dict[str, int]:
        """Reason code -> pictures."""
        return dict(Counter(r.abstained for r in self.results if r.abstained is not None).most_common())

    @property
    def unreadable(self) -> tuple[PictureResult, ...]:
        """Files that could not be opened."""
        return tuple(r for r in self.results if r.unreadable is not None)

    @property
    def tampered(self) -> tuple[PictureResult, ...]:
        """Pictures whose content credentials do not hold: they were changed after they were signed."""
        return tuple(r for r in self.results if r.marks.credentials.state == "invalid")

    def mark_counts(self) -> MarkCounts:
        """What the pictures that could be opened say about themselves, counted."""
        return count_marks(r.marks for r in self.results if r.unreadable is None)

    def figures(self) -> Figures:
        """Distances and tests of the counted pictures."""
        vectors = [r.readings[0]["probabilities"][self.spec.scale] for r in self.results if r.measured]
        return figures(self.counts, self.target, vectors, independent=True)

    def to_json(self) -> dict[str, Any]:
        """The object that ``fairgen verify --json`` prints (design section 7; null where a key has no
        meaning here).
        """
        found = self.figures()
        return {
            "prompt": self.prompt,
            "model": None,
            "spec": self.spec.name,
            "spec_hash": self.spec.content_hash(),
            "approval": self.spec.approval,
            "notes": self.notes,
            "reader": self.reader,
            "scale": self.spec.scale,
            "classes": list(self.target),
            "target": self.target,
            "requested": None,
            "first_pass": None,
            "measured": found.measured,
            "kept": found.kept,
            "count": found.kept,
            "files": len(self.results),
            "abstained": sum(self.abstentions.values()),
            "abstentions": self.abstentions,
            "discarded": self.left_out,
            "unreadable": {r.name: r.unreadable for r in self.unreadable},
            "marks": asdict(self.mark_counts())
            | {"tampered": {r.name: r.marks.credentials.problem for r in self.tampered}},
            "pictures": {r.name: r.marks.to_json() for r in self.results if r.unreadable is None},
            "several_faces": sum(
                1 for r in self.results if sum(x.get("box") is not None for x in r.readings) > 1
            ),
            "tv": found.tv,
            "alignment_error": found.alignment_error,
            "fd": found.fd,
            "kl": found.kl,
            "noise_floor_tv": found.noise_floor_tv,
            "p_differs": found.p_differs,
            "p_meets": found.p_meets,
            "tv_read": found.tv_read,
            "intervals": stats.simultaneous_intervals(found.measured) if found.kept else None,
            # Old names, for one version.
            "p_value": found.p_differs,
            "p_meets_within_0.1": found.p_meets,
            "tv_reading_error": found.tv_read,
        }


class Found(NamedTuple):
    """Picture files, each once, and how many lie in a run without being part of its sets."""

    files: list[Path]
    left_out: int


_ASIDE = re.compile(r"(previous|broken)-\d+")
"""Folders of a run that hold what it once was (``--force``), or what was moved aside (``run check``)."""


def _is_aside(folder: Path) -> bool:
    """Whether pictures in a folder are no part of the run that they lie in."""
    folder = folder.resolve()
    if folder.name == "discarded":
        return (folder.parent.parent / RUN_FILE).is_file()
    return _ASIDE.fullmatch(folder.name) is not None and (folder.parent / RUN_FILE).is_file()


def find_pictures(paths: Iterable[Path]) -> Found:
    """Files and folders (searched all the way down, hidden entries left out) -> picture files, each once.

    Pictures that a run discarded, that belong to an earlier run, or that were moved aside are left out and
    counted, unless they or a folder within are named themselves.

    Raises `UserError` where a path does not exist, cannot be listed, or nothing is found at all.
    """
    from skin_tone.files import SUFFIXES, pictures_in

    aside = cache(_is_aside)
    found: dict[Path, None] = {}
    left_out: set[Path] = set()
    asked = list(paths)
    for path in asked:
        if path.is_dir():
            try:
                for file in pictures_in(path):
                    if any(aside(folder) for folder in takewhile(partial(ne, path), file.parents)):
                        left_out.add(file)
                    else:
                        found.setdefault(file)
            except OSError as error:
                raise UserError(
                    f"{error.filename} cannot be listed ({error.strerror}): check its permissions."
                ) from error
        elif path.is_file():
            found.setdefault(path)
        else:
            raise UserError(
                f"{path} does not exist (or is no file or folder): name pictures, or folders that hold some."
            )
    if not found:
        raise UserError(
            f"No pictures in {', '.join(map(str, asked))}: fairgen looks for {', '.join(sorted(SUFFIXES))}."
        )
    return Found(list(found), len(left_out.difference(found)))


def verify_pictures(
    files: Iterable[Path],
    spec: FairnessSpec,
    reader: ToneReader,
    marks: MarkReader | None = None,
    saw: Callable[[Path, Image], None] | None = None,
) -> Iterator[PictureResult]:
    """Read each file and yield its result, in order; a broken file is a result, not an error.

    Args:
        marks: reads what the pictures say about themselves; default: one without a trust list.
        saw: is given each picture that could be opened, decoded and upright.
    """
    from skin_tone import PictureError
    from skin_tone.files import open_picture

    marks = marks or MarkReader()
    kept: Any = dict.fromkeys(KEPT, True) | {"probabilities": {spec.scale}, "classes": {spec.scale}}
    for file in files:
        try:
            image = open_picture(file)
            readings = reader.read(image)
            says = marks.read(file)
        except (PictureError, UserError) as error:
            yield PictureResult(file, unreadable=str(error))
            continue
        if saw is not None:
            saw(file, image)
        first = readings[0]
        yield PictureResult(
            file,
            readings=tuple(cast(ReadingDocument, r.model_dump(mode="json", include=kept)) for r in readings),
            measured=first.classes.get(spec.scale),
            abstained=first.abstained,
            marks=says,
        )
