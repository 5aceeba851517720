"""Model of workflow.yaml: Ansible plays in stages, and the hosts they depend on."""

from __future__ import annotations

from typing import Any

from pydantic import ConfigDict, Field, RootModel

from e2c.config.keywords import PLAY_KEYWORDS
from e2c.config.names import Text
from e2c.config.network import Selector
from e2c.config.shape import Open
from e2c.model.plan import ArrayInfo, Grouping


class DependsOn(Open):
    """Other hosts whose addresses and numbers the play's hosts get as variables."""

    service_selector: Selector = Field(description="Hosts depended on.", examples=["cloud.master.*"])
    grouping: Grouping = Field(description="How they are dealt out to the play's hosts.")
    prefix: Text = Field(description="Name of the variable.", examples=["server"])
    array_info: ArrayInfo = Field("id", description="What `asarray` lists.")


def _with_keywords(schema: dict[str, Any]) -> None:
    schema["properties"].update({keyword: {} for keyword in sorted(PLAY_KEYWORDS)})
    schema["additionalProperties"] = False


class Play(Open):
    """One Ansible play per stage. Other keys are Ansible's keywords of plays (`vars`, `become` ...) and passed on."""

    hosts: Selector = Field(description="Hosts that run it.", examples=["cloud.*"])
    depends_on: tuple[DependsOn, ...] = Field((), description="Hosts it needs to know.")
    prepare: tuple[dict[str, Any], ...] = Field(
        (),
        description="Tasks before the application.",
        examples=[[{"copy": {"src": "{{ working_dir }}/app.py", "dest": "/opt/app.py"}}]],
    )
    launch: tuple[dict[str, Any], ...] = Field(
        (), description="Tasks that run the application.", examples=[[{"shell": "python3 /opt/app.py"}]]
    )
    finalize: tuple[dict[str, Any], ...] = Field(
        (),
        description="Tasks that fetch the results.",
        examples=[[{"fetch": {"src": "/opt/result.csv", "dest": "{{ working_dir }}/"}}]],
    )

    model_config = ConfigDict(json_schema_extra=_with_keywords)


class Workflow(RootModel[tuple[Play, ...]]):
    """workflow.yaml: plays, run in order within each stage."""

    model_config = ConfigDict(frozen=True, defer_build=True)

    @property
    def plays(self) -> tuple[Play, ...]:
        """In the order of the file."""
        return self.root
