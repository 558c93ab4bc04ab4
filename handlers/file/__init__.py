"""Sandboxes: who may put and get them, and where they are kept."""
