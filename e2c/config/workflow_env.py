"""Model of workflow_env.yaml: named sets of variables for the workflow."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, RootModel, WithJsonSchema
from pydantic_core import PydanticCustomError

from e2c.config.names import configuration_fault
from e2c.config.problems import shown


def _scalar(value: Any) -> Any:
    if isinstance(value, (str, int, float)):
        return value
    raise PydanticCustomError("type", "must be text, a number, true or false, not {what}", {"what": shown(value)})


def _configuration(name: str) -> str:
    fault = configuration_fault(name)
    if fault:
        raise PydanticCustomError("configuration-name", "{fault}", {"fault": fault, "key": ""})
    return name


Value = Annotated[Any, BeforeValidator(_scalar), WithJsonSchema({"type": ["string", "number", "boolean"]})]
Configuration = Annotated[
    str,
    AfterValidator(_configuration),
    WithJsonSchema({"type": "string", "pattern": "^[A-Za-z0-9_][A-Za-z0-9_.+=-]*$", "maxLength": 63}),
]


class WorkflowEnv(RootModel[dict[Configuration, dict[str, Value]]]):
    """workflow_env.yaml: application configurations. `--app_conf NAME` gives plays `env_<key>` for each of its keys."""

    model_config = ConfigDict(frozen=True, defer_build=True, json_schema_extra={"additionalProperties": False})

    root: dict[Configuration, dict[str, Value]] = Field(examples=[{"small": {"epochs": 1}, "large": {"epochs": 10}}])

    @property
    def configurations(self) -> dict[str, dict[str, Any]]:
        """Variables per configuration, in the order of the file."""
        return self.root
