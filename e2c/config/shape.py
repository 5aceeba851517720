"""What all models of the scenario's files share."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError


class Closed(BaseModel):
    """An immutable mapping of the scenario; keys it does not know are refused, and so are keys without a value."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    @field_validator("*", mode="before")
    @classmethod
    def _refuse_null(cls, value: Any, info: ValidationInfo) -> Any:
        field = cls.model_fields.get(info.field_name or "")
        if value is None and field is not None and field.default is None:
            raise PydanticCustomError("null", "has no value", {"hint": "Write one, or remove the key"})
        return value


class Open(Closed):
    """An immutable mapping that keeps the keys it does not know, for plugins."""

    model_config = ConfigDict(frozen=True, extra="allow", defer_build=True)

    def metadata(self) -> dict[str, Any]:
        """The keys that the model does not know."""
        return dict(self.model_extra or {})
