"""Evidence packs: what runs show, with all that it follows from, in one signed file that can be checked.

`plan_pack` reads runs and gives a plan that writes the pack; `check_pack` checks one. Files of a pack are
either *given*, taken as they were (run files, pictures, the model's card, the reader's published figures), or
*computed* from those (figures, report, tables, the page on top); a check computes the latter again.
"""

from fairgen.evidence.check import Finding, PackCheck, check_pack, pack_size
from fairgen.evidence.manifest import Manifest, manifest_schema
from fairgen.evidence.pack import PackPlan, WrittenPack, plan_pack

__all__ = [
    "Finding",
    "Manifest",
    "PackCheck",
    "PackPlan",
    "WrittenPack",
    "check_pack",
    "manifest_schema",
    "pack_size",
    "plan_pack",
]
