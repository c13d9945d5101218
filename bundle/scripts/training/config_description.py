# SPDX-License-Identifier: Apache-2.0

"""A description of what a config builds, in values of JSON. It is made without building the objects."""

from __future__ import annotations

import inspect
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pydoc import locate
from typing import Any

from monai.bundle import ConfigComponent, ConfigExpression, ConfigParser, ReferenceResolver

__all__ = ["ConfigDescription"]

_SEP = ReferenceResolver.sep
_BUNDLE = "scripts."  # only functions of this package may be called; any other target is described
_NO_ARGUMENTS = ("_desc_", "_disabled_", "_requires_")
_SCALARS = (str, int, float, bool, type(None))
_NO_DEFAULT = object()


@dataclass(frozen=True)
class _Unbuilt:
    """The placeholder of an object that is not built. An expression can pass it on, but use no attribute of it."""

    id: str

    def __bool__(self) -> bool:
        raise TypeError("what is not built is neither true nor false")


class ConfigDescription:
    """Describe parts of a config as they are resolved, without the names of ids and modules.

    References are followed, and expressions are evaluated. A component becomes the name of its class, as ``_target_``,
    and those of its arguments that are not at the default of the class. No component is built, with one exception:
    functions of this bundle whose arguments are all plain values, such as the checks of knobs, are called. Their
    results are values, which the parser keeps for the run.

    Some expressions need an object that is not built, or have a value that JSON cannot hold (a function, an object).
    Such an expression is described by its text. In the text, values replace references to values, and names of classes
    replace references to components.

    Args:
        parser: parser of the config, with all overrides.
        unbuilt: ids that are never built or called.
        places: ids whose values a machine or a run chooses, such as the device. They are described by their ids.
        left_out: names of arguments that are not described.
    """

    def __init__(
        self, parser: ConfigParser, *, unbuilt: Collection[str], places: Collection[str], left_out: Collection[str]
    ) -> None:
        self.parser = parser
        self.unbuilt = {ReferenceResolver.normalize_id(id) for id in unbuilt}
        self.places = places
        self.left_out = left_out

    def describe(self, id: str) -> Any:
        """Describe a part of the config.

        Args:
            id: id of the part, such as ``train#loss``.

        Returns:
            Values of types that JSON can hold.
        """
        id = ReferenceResolver.normalize_id(id)
        config = self.parser.get(id)
        if id in self.places:
            return id
        if isinstance(config, str) and not ConfigExpression.is_expression(config):
            reference = _reference(config)
            return config if reference is None else self.describe(reference)
        if isinstance(config, Mapping) and not ConfigComponent.is_instantiable(config):
            return {key: self.describe(f"{id}{_SEP}{key}") for key in self._enabled_keys(id, config) if key != "_desc_"}
        if isinstance(config, list):
            return [self.describe(f"{id}{_SEP}{i}") for i in self._enabled_keys(id, range(len(config)))]
        value = self._value(id)
        if isinstance(value, _Unbuilt) and value.id == id:
            return self._component(id, config) if isinstance(config, Mapping) else self._text(id)
        is_object = not isinstance(value, (*_SCALARS, Mapping, list, tuple, _Unbuilt))
        return self._text(id) if is_object and isinstance(config, str) else self._as_json(value)

    def _enabled_keys(self, id: str, keys: Collection[Any]) -> list[Any]:
        """Return the keys of a part without those of disabled components, which a resolved config does not have."""
        return [key for key in keys if not self._is_disabled(f"{id}{_SEP}{key}")]

    def _is_disabled(self, id: str) -> bool:
        config = self.parser.get(id)
        if not ConfigComponent.is_instantiable(config):
            return False
        disabled = self._value(f"{id}{_SEP}_disabled_")
        return not isinstance(disabled, _Unbuilt) and ConfigComponent({"_disabled_": disabled}).is_disabled()

    def _component(self, id: str, config: Mapping[str, Any]) -> dict[str, Any]:
        names = [name for name in config if name not in (*_NO_ARGUMENTS, "_target_") and name not in self.left_out]
        arguments = {name: self.describe(f"{id}{_SEP}{name}") for name in self._enabled_keys(id, names)}
        defaults = self._defaults(config)
        changed = {name: value for name, value in arguments.items() if value != defaults.get(name, _NO_DEFAULT)}
        return {"_target_": self._class_name(id, config), **changed}

    def _defaults(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """Return the defaults of a component's arguments; none if they cannot be known."""
        try:
            target: Any = locate(ConfigComponent(dict(config), locator=self.parser.locator).resolve_module_name())
            parameters = inspect.signature(target).parameters
        except (ModuleNotFoundError, TypeError, ValueError):  # there is no such class, or it is not written in Python
            return {}
        return {name: self._as_json(parameter.default) for name, parameter in parameters.items()}

    def _class_name(self, id: str, config: Mapping[str, Any]) -> str:
        target = config["_target_"]
        if ConfigExpression.is_expression(target):
            return self._text(f"{id}{_SEP}_target_")
        return str(target).rpartition(".")[2]

    def _as_json(self, value: Any) -> Any:
        if isinstance(value, _Unbuilt):
            return self.describe(value.id)
        if isinstance(value, Mapping):
            return {str(key): self._as_json(item) for key, item in value.items()}
        if isinstance(value, (list, tuple)):
            return [self._as_json(item) for item in value]
        return value if isinstance(value, _SCALARS) else getattr(value, "__qualname__", type(value).__name__)

    def _value(self, id: str) -> Any:
        """Return the value of a part of the config for an expression, with placeholders for objects."""
        id = ReferenceResolver.normalize_id(id)
        config = self.parser.get(id)
        if id in self.unbuilt:
            return _Unbuilt(id)
        if ConfigComponent.is_instantiable(config):
            return self._value_of_component(id, config)
        if isinstance(config, Mapping):
            return {key: self._value(f"{id}{_SEP}{key}") for key in self._enabled_keys(id, config)}
        if isinstance(config, list):
            return [self._value(f"{id}{_SEP}{i}") for i in self._enabled_keys(id, range(len(config)))]
        if ConfigExpression.is_expression(config):
            return self._evaluated(id, config)
        reference = _reference(config)
        return config if reference is None else self._value(reference)

    def _value_of_component(self, id: str, config: Mapping[str, Any]) -> Any:
        if self._is_disabled(id):
            return None
        target, mode = str(config["_target_"]), config.get("_mode_", "default")
        if mode != "default" or not target.startswith(_BUNDLE) or not inspect.isfunction(locate(target)):
            return _Unbuilt(id)
        arguments = [self._value(f"{id}{_SEP}{name}") for name in config if name not in (*_NO_ARGUMENTS, "_target_")]
        return _Unbuilt(id) if _has_unbuilt(arguments) else self.parser.get_parsed_content(id)

    def _evaluated(self, id: str, config: str) -> Any:
        code = ReferenceResolver.update_refs_pattern(config, values := _Values(self._value))
        try:
            return ConfigExpression(code, id, self.parser.globals).evaluate({ReferenceResolver._vars: values})
        except RuntimeError as error:
            if isinstance(error.__cause__, (AttributeError, TypeError)):  # it uses an object that is not built
                return _Unbuilt(id)
            raise

    def _text(self, id: str) -> str:
        """Return the text of an expression, without the names of ids."""
        text = ReferenceResolver.normalize_id(self.parser.get(id)).removeprefix(ConfigExpression.prefix)
        return ReferenceResolver.id_matcher.sub(lambda match: self._in_text(match[0].removeprefix("@")), text)

    def _in_text(self, id: str) -> str:
        """Return the words that replace a reference in the text of an expression."""
        if id in self.places:
            return id
        value = self._value(id)
        if not isinstance(value, _Unbuilt):
            is_plain = isinstance(value, (*_SCALARS, Mapping, list, tuple))
            return json.dumps(self._as_json(value)) if is_plain else str(self._as_json(value))
        if value.id in self.places:
            return value.id
        config = self.parser.get(value.id)
        return self._class_name(value.id, config) if isinstance(config, Mapping) else f"({self._text(value.id)})"


class _Values(dict[str, Any]):
    """Values by id. A value is only computed when an expression uses it."""

    def __init__(self, value_of: Any) -> None:
        super().__init__()
        self.value_of = value_of

    def __contains__(self, id: object) -> bool:
        return True

    def __missing__(self, id: str) -> Any:
        self[id] = self.value_of(id)
        return self[id]


def _reference(config: Any) -> str | None:
    """Return the id if a string is one reference and nothing else."""
    return next(iter(ReferenceResolver.match_refs_pattern(config)), None) if isinstance(config, str) else None


def _has_unbuilt(value: Any) -> bool:
    items = value.values() if isinstance(value, Mapping) else value if isinstance(value, (list, tuple)) else ()
    return isinstance(value, _Unbuilt) or any(map(_has_unbuilt, items))
