"""The figures of a run as a record of "Every Eval Ever" (schema 0.3.0), so that result stores can hold it.

Each arm is one evaluation; the metric is the mean total variation of its sets from the declared target.
"""

from __future__ import annotations

from typing import Any

from fairgen.evidence.facts import RunFacts
from fairgen.evidence.inputs import Inputs
from fairgen.runs import ModelInfo
from fairgen.scoring.figures import ReportedArm

__all__ = ["SCHEMA_VERSION", "eval_record"]

SCHEMA_VERSION = "0.3.0"


def eval_record(one: RunFacts, inputs: Inputs) -> dict[str, Any]:
    """The record of one run as JSON."""
    model, figures = one.models[0], one.figures
    stamp = str(int(inputs.created_at.timestamp()))
    return {
        "schema_version": SCHEMA_VERSION,
        "evaluation_id": f"fairgen-skin-tone/{model.short_name.replace('/', '_')}/{stamp}",
        "evaluation_timestamp": figures.created_at.isoformat(),
        "retrieved_timestamp": stamp,
        "source_metadata": {
            "source_name": f"fairgen evidence pack, run {one.run.title}",
            "source_type": "evaluation_run",
            "source_organization_name": inputs.signer.subject if inputs.signer else "not stated",
            "evaluator_relationship": "other",
            "additional_details": {
                "evaluator_relationship": "not stated in the run; 'other' stands for that"
            },
        },
        "eval_library": {"name": "fairgen", "version": figures.run_fairgen},
        "model_info": _model(model),
        "evaluation_results": [_arm(one, arm) for arm in figures.arms if arm.tv is not None],
    }


def _model(model: ModelInfo) -> dict[str, Any]:
    about: dict[str, Any] = {"name": model.short_name, "id": model.short_name}
    details = {"fingerprint": model.fingerprint}
    if model.source == "api":  # who runs it, and with what, is not known here
        deployment = "unknown"
    else:
        deployment = "self_deployed"
        version = model.versions.get("diffusers", "unknown")
        about["inference_engine"] = {"name": "diffusers", "version": version}
        details |= {
            "pipeline": model.pipeline,
            "scheduler": model.scheduler,
            "steps": str(model.steps),
            "guidance_scale": str(model.guidance_scale),
        }
    availability = "open_weights" if model.source in ("embedded", "hub") else "unknown"
    details |= {"deployment_type": deployment, "model_availability": availability}
    return about | {"additional_details": details}


def _arm(one: RunFacts, arm: ReportedArm) -> dict[str, Any]:
    figures = one.figures
    details = {
        "chance_floor": str(arm.noise_floor_tv),
        "prompts_within_tolerance": f"{arm.met} of {arm.prompts} (tolerance {figures.tolerance:g})",
        "kept": str(arm.kept),
        "generated": str(arm.generated),
        "discarded": str(arm.discarded),
        "not_read": str(arm.abstained),
    }
    uncertainty: dict[str, Any] = {"num_samples": arm.prompts}
    if arm.tv_range is not None:
        low, high = arm.tv_range
        uncertainty["confidence_interval"] = {
            "lower": low,
            "upper": high,
            "confidence_level": 0.95,
            "method": "over prompts of this kind (docs/statistics.md of fairgen)",
        }
    audit = figures.audit
    return {
        "evaluation_result_id": f"{one.run.name}-{arm.arm}",
        "evaluation_name": f"skin tones against a declared target, arm {arm.arm}",
        "source_data": {
            "dataset_name": audit.prompts_file if audit else "prompts of the run",
            "source_type": "other",
            "additional_details": {
                "prompts": str(arm.prompts),
                "sha256": audit.prompts_hash if audit else "not recorded",
            },
        },
        "metric_config": {
            "evaluation_description": "Total variation between the shares of skin tones that were read and "
            "those that were declared; mean over prompts.",
            "metric_id": "fairgen.mean_total_variation",
            "metric_name": "mean total variation",
            "metric_kind": "total_variation",
            "metric_unit": "proportion",
            "lower_is_better": True,
            "score_type": "continuous",
            "min_score": 0.0,
            "max_score": 1.0,
        },
        "score_details": {"score": arm.tv, "details": details, "uncertainty": uncertainty},
        "generation_config": {
            "additional_details": {"arm": arm.arm, "seed": str(audit.seed) if audit else "in the run file"}
        },
    }
