"""Attributes that are computed when they are first read."""

from collections.abc import Callable
from typing import Any, Generic, TypeVar, overload

Value = TypeVar("Value")


class cached_property(Generic[Value]):
    """`functools.cached_property` without its lock.

    Until Python 3.12 a thread that computes an attribute locks it for all objects of the class; a
    child that is forked meanwhile would wait for the lock for ever.
    """

    def __init__(self, compute: Callable[[Any], Value]) -> None:
        self._compute = compute
        self.__doc__ = compute.__doc__

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    @overload
    def __get__(self, instance: None, owner: type) -> "cached_property[Value]": ...
    @overload
    def __get__(self, instance: object, owner: type) -> Value: ...
    def __get__(self, instance: Any, owner: type) -> "cached_property[Value] | Value":
        if instance is None:
            return self
        value = instance.__dict__[self._name] = self._compute(instance)
        return value
