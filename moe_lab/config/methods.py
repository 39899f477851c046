"""Settings for a choice: one model per method of a registry, its options as fields."""

from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, GetCoreSchemaHandler, create_model
from pydantic_core import CoreSchema, core_schema

from moe_lab.registry import Registry


class Settings(BaseModel):
    """Base of all settings: frozen, no unknown keys, no conversion of types, finite numbers."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class Method(Settings):
    """A chosen method. Its options are further fields, which differ from method to method."""

    name: str

    @property
    def options(self) -> dict[str, Any]:
        """The keyword arguments of the method's class."""
        return {key: value for key, value in self if key not in ("name", "weight")}


class WeightedMethod(Method):
    """A method with a weight of its own."""

    weight: float = Field(ge=0, le=1e6, description="Weight of its loss in the training loss.")


@dataclass(frozen=True)
class OneOf:
    """Marks a field that holds a method of a registry: `name`, or `{name: …, option: …}`."""

    registry: Registry
    base: type[Method] = Method

    def __get_pydantic_core_schema__(
        self, source: type[Method], handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        """The union of the methods' models, told apart by name."""
        models = method_models(self.registry, self.base)
        choices = {name: handler.generate_schema(model) for name, model in models.items()}
        union = core_schema.tagged_union_schema(choices, _name)
        names = core_schema.literal_schema(list(choices))
        written = core_schema.union_schema([names, union])
        return core_schema.no_info_before_validator_function(
            _spelled_out, union, json_schema_input_schema=written
        )


@cache
def method_models(registry: Registry, base: type[Method]) -> dict[str, type[Method]]:
    """Each method's settings: the fields of `base` and the options of the method's class."""
    return {name: _model(registry, name, base) for name in registry.names()}


def _model(registry: Registry, name: str, base: type[Method]) -> type[Method]:
    fields: dict[str, Any] = {"name": (Literal[name], Field(description=f"The {registry.kind}."))}
    for key, option in registry.options(name).items():
        default = ... if option.required else option.default
        words = f"Option of the {registry.kind} {name}: see its class."
        fields[key] = (option.type, Field(default, description=words))
    return create_model(f"{base.__name__}_{name}", __base__=base, **fields)


def _spelled_out(value: Any) -> Any:
    return {"name": value} if isinstance(value, str) else value


def _name(value: Any) -> str | None:
    name = value.get("name") if isinstance(value, dict) else getattr(value, "name", None)
    return None if name is None else str(name)
