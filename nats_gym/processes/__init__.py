"""Processes beside this one: ``children`` starts them, ``messages`` talks to them, ``pool`` keeps
several that answer tasks."""

from __future__ import annotations
