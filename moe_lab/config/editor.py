"""The settings as JSON Schema, for editors that complete and check YAML."""

from typing import Any

from moe_lab.config.data import DATA
from moe_lab.config.schema import Config


def json_schema() -> dict[str, Any]:
    """Every key with description, range and default; unknown keys are errors."""
    schema: dict[str, Any] = _loosened(Config.model_json_schema())
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema["title"] = "moe-lab config"
    description = "Another config, relative to this one, whose values hold where this one has none."
    schema["properties"]["extends"] = {"type": "string", "description": description}
    # given on the command line, or by the config that is extended
    for data in DATA.values():
        schema["$defs"][data.__name__].pop("required", None)
    return schema


def _loosened(schema: Any) -> Any:
    """`anyOf` for `oneOf`: keys that several sources share are right under each of them."""
    if isinstance(schema, list):
        return [_loosened(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    renamed = {"oneOf": "anyOf"}
    kept = {key: value for key, value in schema.items() if key != "discriminator"}
    return {renamed.get(key, key): _loosened(value) for key, value in kept.items()}
