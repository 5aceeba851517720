"""Settings from the environment: ``E2C_...``, typed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, ValidationError

from e2c.config.problems import Problem, listed, shown, suggestion
from e2c.config.shape import Closed
from e2c.config.validate import allowed

PREFIX = "E2C_"
SOURCE = "environment"
"""What a problem names instead of a file."""
INTERNAL = frozenset(
    {
        *("E2C_EVENTS_FD", "E2C_OUTPUT", "E2C_STAGE"),
        *("E2C_RUN", "E2C_APP_CONF", "E2C_REPEAT", "E2C_OPTIMIZATION_CONFIG"),
    }
)
"""Variables that the tool sets for processes that it starts, here and on hosts."""

LONGEST_S = 7 * 86_400
Seconds = Annotated[float, Field(gt=0, le=LONGEST_S)]


class Settings(Closed):
    """What the environment asks for. An option of the command line goes before its variable."""

    testbed: Literal["local"] | None = Field(
        None, description="Plays every testbed of the scenario: `local` is a rehearsal."
    )
    scenario_dir: Path | None = Field(None, description="The scenario folder.")
    artifacts_dir: Path | None = Field(None, description="The artifacts folder.")
    netem: Literal["auto", "kernel", "switch"] | None = Field(
        None, description="Who shapes links of the local testbed."
    )
    api_timeout: Seconds = Field(30, description="Seconds that one request to a testbed's API may take.")
    start_timeout: Seconds = Field(
        900,
        description="Seconds to wait for a reservation to start, counted from now or from the date it was asked for.",
    )
    slot_window: Seconds = Field(
        1800, description="Seconds ahead in which a slot common to several testbeds is looked for."
    )
    deploy_timeout: Seconds = Field(1800, description="Seconds that the deployment of a system image may take.")
    ssh_timeout: Seconds = Field(300, description="Seconds in which acquired machines must answer to ssh.")
    release_timeout: Seconds = Field(120, description="Seconds in which a testbed must confirm that machines are free.")
    answer_timeout: Seconds = Field(
        60,
        description="Seconds to answer, on a terminal, whether hosts are kept after a failure; then they are released.",
    )
    lost_timeout: Seconds = Field(
        30, description="Seconds of silence after which a host is given up that runs background tasks."
    )
    monetdb_libs: Path | None = Field(None, description="Folder with the MonetDB libraries.")
    service_timeout: Seconds = Field(3600, description="Seconds that the plugin of a service may take to deploy it.")
    provenance_dsn: str | None = Field(
        None, repr=False, description="URL of the MonetDB server that `e2clab provenance serve` uses; a secret."
    )


def read_settings(environment: Mapping[str, str]) -> tuple[Settings, list[Problem]]:
    """Settings of an environment, and its problems: a variable that is not known (warning), a wrong value (error).

    A variable that is empty counts as absent; one with a wrong value too.
    """
    problems: list[Problem] = []
    given: dict[str, str] = {}
    names = {f"{PREFIX}{name.upper()}": name for name in Settings.model_fields}
    for variable in sorted(environment):
        if not variable.startswith(PREFIX) or variable in INTERNAL or not environment[variable]:
            continue
        if variable in names:
            given[names[variable]] = environment[variable]
        else:
            hint = suggestion(variable, names, f"Known: {', '.join(names)}")
            message = f"the variable {variable} is not known, so it has no effect"
            problems.append(Problem(SOURCE, 0, 0, variable, "warning", "setting-unknown", message, hint))
    try:
        return Settings.model_validate(given), problems
    except ValidationError as error:
        for name in {str(detail["loc"][0]) for detail in error.errors()}:
            must = listed(allowed(Settings, (name,)) or [f"a number of seconds above 0 and at most {LONGEST_S}"])
            message = f"{PREFIX}{name.upper()} must be {must}, not {shown(given.pop(name))}"
            problems.append(Problem(SOURCE, 0, 0, f"{PREFIX}{name.upper()}", "error", "setting-value", message))
    return Settings.model_validate(given), problems
