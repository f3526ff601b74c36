"""The rows of an earlier run, read back from its summary.json.

JSON has neither infinity nor NaN, and summary.json has null for both (evaluation/summary.py). Null is infinity where a
row says so, and in a list of samples, which has no sample that was not measured. Elsewhere, it is NaN.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, TypeVar

import cattrs
from cattrs.gen import make_dict_structure_fn, override

from git_to_pod.experiments.alternatives.starts import StartResult
from git_to_pod.experiments.faults.experiment import FaultResult
from git_to_pod.experiments.gitops import OwnedResult
from git_to_pod.experiments.scale.polling import Restart
from git_to_pod.timing.medians import Estimate

Row = TypeVar("Row")
CONVERTER = cattrs.Converter()


def or_infinity(value: float | None, _type: object = float) -> float:
    return math.inf if value is None else value


def as_estimate(found: dict[str, Any], _type: object) -> Estimate:
    """`n` and `timeouts` tell whether null is a timeout, or not known for lack of samples."""
    n, timeouts = found["n"], found["timeouts"]
    bounds = math.nan if n < 6 else math.inf
    missing = {"median": math.inf if timeouts else math.nan, "low": bounds, "high": bounds}
    missing |= {"min": math.inf if n else math.nan, "max": math.inf if n else math.nan}
    values = {key: missing[key] if found[key] is None else found[key] for key in missing}
    return Estimate(**values, n=n, timeouts=timeouts)


CONVERTER.register_structure_hook(float, lambda value, _type: math.nan if value is None else float(value))
CONVERTER.register_structure_hook_func(
    lambda kind: kind == list[float], lambda values, _type: [or_infinity(value) for value in values]
)
CONVERTER.register_structure_hook(Estimate, as_estimate)
INFINITE = override(struct_hook=or_infinity)
CONVERTER.register_structure_hook(FaultResult, make_dict_structure_fn(FaultResult, CONVERTER, recovery_s=INFINITE))
CONVERTER.register_structure_hook(OwnedResult, make_dict_structure_fn(OwnedResult, CONVERTER, corrected_s=INFINITE))
CONVERTER.register_structure_hook(
    StartResult, make_dict_structure_fn(StartResult, CONVERTER, ready_s=INFINITE, recovered_s=INFINITE)
)
CONVERTER.register_structure_hook(Restart, make_dict_structure_fn(Restart, CONVERTER, restart_s=INFINITE))


def read(rows: Sequence[dict[str, Any]], kind: type[Row]) -> list[Row]:
    """The rows as objects of this dataclass, or of one of a union of them. Raises ValueError for any others."""
    try:
        return [CONVERTER.structure(row, kind) for row in rows]
    except cattrs.BaseValidationError as error:
        raise ValueError("; ".join(cattrs.transform_error(error))) from None
