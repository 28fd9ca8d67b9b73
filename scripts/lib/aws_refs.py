"""Finds what the parts of a CloudFormation template refer to.

Knows the functions that name a parameter, a resource, an attribute, a condition or a mapping. Does not
know which of those there are.
"""

import re
from typing import Any, Iterator, NamedTuple

SUBSTITUTION = re.compile(r"\$\{([^!][^}]*)\}")


class Reference(NamedTuple):
    """One place that names something."""

    # Keys and indices from the top of the template.
    path: tuple
    # `value` (a Ref), `attribute` (a GetAtt), `condition`, `resource` (a DependsOn) or `mapping`.
    kind: str
    name: str
    attribute: str | None = None


def references(node: Any, path: tuple = ()) -> Iterator[Reference]:
    """Yields every reference at or below `node`, which lies at `path`."""
    if isinstance(node, list):
        for index, item in enumerate(node):
            yield from references(item, (*path, index))
    if not isinstance(node, dict):
        return
    if len(node) == 1:
        [(function, argument)] = node.items()
        yield from _of_function(function, argument, (*path, function))
    for key, value in node.items():
        if key == "Condition" and isinstance(value, str) and path[:1] != ("Metadata",):
            if _is_condition(node, path):
                yield Reference((*path, key), "condition", value)
        elif key == "DependsOn":
            for name in [value] if isinstance(value, str) else value:
                yield Reference((*path, key), "resource", name)
        if key != "Fn::GetAtt":
            yield from references(value, (*path, key))


def _of_function(function: str, argument: Any, path: tuple) -> Iterator[Reference]:
    if function == "Ref" and isinstance(argument, str):
        yield Reference(path, "value", argument)
    elif function == "Fn::GetAtt":
        parts = argument.split(".", 1) if isinstance(argument, str) else argument
        yield Reference(path, "attribute", str(parts[0]), str(parts[1]) if len(parts) > 1 else "")
    elif function == "Fn::Sub":
        text, own = (argument, {}) if isinstance(argument, str) else (argument[0], argument[1])
        for name in SUBSTITUTION.findall(text):
            if name in own:
                continue
            resource, dot, attribute = name.partition(".")
            kind = "attribute" if dot else "value"
            yield Reference(path, kind, resource, attribute or None)
    elif function == "Fn::If" and isinstance(argument, list) and isinstance(argument[0], str):
        yield Reference(path, "condition", argument[0])
    elif function == "Fn::FindInMap" and isinstance(argument[0], str):
        yield Reference(path, "mapping", argument[0])


def _is_condition(node: dict, path: tuple) -> bool:
    """Whether the `Condition` of `node` names one of the template, not what a policy asks for."""
    if len(path) == 2 and path[0] in ("Resources", "Outputs"):
        return True
    return len(node) == 1 and path[:1] in (("Conditions",), ("Rules",), ("Resources",))


def names(node: Any) -> set[str]:
    """Returns the parameters and resources that `node` refers to, a resource's `DependsOn` included."""
    kinds = ("value", "attribute", "resource")
    return {found.name for found in references(node) if found.kind in kinds}


def shown(path: tuple) -> str:
    """Renders where something is, for people."""
    return "/".join(str(part) for part in path)
