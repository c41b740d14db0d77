"""Checking that a resumed run has the plan and the teacher of the interrupted one."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..methods.options import option_of
from .plan import Plan

if TYPE_CHECKING:
    from ..distillation.distiller import Distiller


def check_same_plan(plan: Plan, state: Mapping[str, Any]) -> None:
    """Refuse to resume a run with another plan.

    Args:
        plan: of the run that resumes.
        state: of the interrupted run's pruner.

    Raises:
        ValueError: the plans differ, or none is given and the interrupted run had not finished.
    """
    before = state["plan"]
    if not plan.prunes:
        if state["events_left"] or state.get("approach") is not None:
            raise ValueError(
                f"--prune-method {plan.method}: the interrupted run had not finished pruning; "
                f"resume with its options, e.g. --prune-method {before['method']}"
            )
        return
    for name, value in plan.plain().items():
        if before["schedule"] and before.get(name) != value:
            mine, theirs = _difference(plan, name, value, before.get(name))
            raise ValueError(
                f"{mine}: the interrupted run had {theirs}; resume with the same options, "
                "or prune further with --finetune-from-model and a new --save-dir"
            )


def check_same_teacher(plan: Plan, distiller: Distiller | None, state: Mapping[str, Any]) -> None:
    """Refuse to continue without the teacher that an interrupted run had, with another, or by other amounts.

    Args:
        plan: of the run that resumes; where both prune, none can be added either.
        distiller: of the run that resumes; None: it has no teacher.
        state: of the interrupted run's task; files of earlier versions do not say by how much it learnt.

    Raises:
        ValueError: naming the option.
    """
    resume = "resume with the same options, or go on with --finetune-from-model and a new --save-dir"
    if "teacher" not in state:
        if distiller and plan.prunes and state["plan"]["schedule"]:
            raise ValueError(f"{distiller.asked.asked}: the interrupted run had no teacher; {resume}")
        return
    if distiller is None:
        raise ValueError(f"--prune-teacher: the interrupted run had a teacher, this one has none; {resume}")
    asked, amounts = distiller.asked, state.get("distillation", {})
    if distiller.teacher.checksum != state["teacher"]:
        raise ValueError(f"{asked.asked}: not the weights of the teacher that this run began with; {resume}")
    for name, value in asked.plain().items():
        if amounts.get(name, value) != value:
            raise ValueError(f"{asked.spelling}{name} {value}: the interrupted run had {amounts[name]}; {resume}")


def _difference(plan, name, value, before):
    """Where an answer differs: (option and value of this plan, value of the other plan)."""
    parts, others = (dict(re.findall(r"(\w+)=([^;,()]+)", str(text))) for text in (value, before))
    for part, mine in parts.items() if name in ("approach", "target") else ():
        if part in others and others[part] != mine:
            option = option_of(plan.approach, part) if name == "approach" else "--" + part.replace("_", "-")
            return f"{option} {mine}".replace("'", ""), others[part].strip("'")
    mine = f"--prune-method with {value}" if name == "approach" else f"--prune-{name} {value}"
    return plan.spelling.get(name, mine), before
