"""A scenario that was read: its models, its warnings, and where everything stands."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path as FilePath

from e2c.config.document import Document
from e2c.config.layers import LayersServices
from e2c.config.network import Network
from e2c.config.problems import Path, Problem, Severity
from e2c.config.workflow import Workflow
from e2c.config.workflow_env import WorkflowEnv


@dataclass(frozen=True)
class Scenario:
    """The files of a scenario, each ``None`` when the command does not need it.

    Attributes:
        directory: the scenario folder, as given.
        artifacts: the artifacts folder, as given; ``None`` when the command takes none.
        layers_services, network, workflow, workflow_env: the models.
        warnings: what is odd, in the order of the files.
        documents: the files by name, for the place of what a later check finds.
    """

    directory: FilePath
    artifacts: FilePath | None = None
    layers_services: LayersServices | None = None
    network: Network | None = None
    workflow: Workflow | None = None
    workflow_env: WorkflowEnv | None = None
    warnings: tuple[Problem, ...] = ()
    documents: dict[str, Document] = field(default_factory=dict, repr=False)

    def problem(
        self,
        name: str,
        path: Path,
        code: str,
        message: str,
        hint: str = "",
        *,
        severity: Severity = "error",
        key: bool = False,
    ) -> Problem:
        """A problem at a place of the file ``name`` (``network`` ...)."""
        document = self.documents.get(name) or Document(str(self.directory / f"{name}.yaml"), name)
        return document.problem(path, code, message, hint, severity=severity, key=key)
