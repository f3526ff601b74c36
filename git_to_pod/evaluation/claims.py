"""What the evaluation claims: requirements and constraints, and whether each is met."""

from __future__ import annotations

from dataclasses import dataclass, field

REQUIREMENTS = {
    "R1": "A git repository is synced into running pods",
    "R2": "Changes are detected and pulled automatically",
    "R3": "Pods restart when the content changes",
    "R4": "The deployed commit is observable",
}
CONSTRAINTS = {
    "no_way_out": "Air-gapped: the cluster reaches the git host and nothing else",
    "nothing_reaches_in": "Pull-based: nothing outside connects to the cluster",
    "private": "The repository is private",
    "read_only": "The cluster's credentials are read-only",
    "provider_agnostic": "Any git provider, over HTTPS and SSH",
    "no_api_token": "The app's pods hold no Kubernetes API token",
}


@dataclass
class Check:
    """A requirement or constraint: whether it is met, and the evidence.

    None: the evidence does not decide it, or, without `tried`, this cluster does not let the run try.
    """

    first_verdict: bool | None
    first_evidence: str
    rows: list[dict[str, str]] = field(default_factory=list)
    name: str = ""  # a key of REQUIREMENTS or CONSTRAINTS
    claim: str = ""
    tried: bool = True
    verdict_of_trials: bool = True
    evidence_of_trials: str = ""

    @property
    def holds(self) -> bool | None:
        return self.first_verdict if self.verdict_of_trials else False

    @property
    def evidence(self) -> str:
        return " ".join(filter(None, [self.first_evidence, self.evidence_of_trials]))

    @property
    def outcome(self) -> str:
        return {True: "met", False: "not met", None: "not shown" if self.tried else "not tried"}[self.holds]


class EvaluationFailed(AssertionError):
    """A requirement or a constraint is not met."""
