"""The pilot: one zip that starts on a node, asks for jobs and runs them."""

from __future__ import annotations

VERSION = "2026.1.0"
