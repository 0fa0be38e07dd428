"""Literal types that specs and views share. Views import these alone, so that a client loads no spec."""

from typing import Literal

Device = Literal["any", "cpu", "gpu"]
Direction = Literal["minimize", "maximize"]
