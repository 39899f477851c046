"""What a run is asked to be: a YAML file and overrides, checked before torch is imported."""

from moe_lab.config.data import Clusters, Domains, Text
from moe_lab.config.editor import json_schema
from moe_lab.config.methods import Method, WeightedMethod
from moe_lab.config.resolve import Resolved, load, read, resolve
from moe_lab.config.schema import Config

__all__ = [
    "Clusters",
    "Config",
    "Domains",
    "Method",
    "Resolved",
    "Text",
    "WeightedMethod",
    "json_schema",
    "load",
    "read",
    "resolve",
]
