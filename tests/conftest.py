"""Fixtures by subject; each lives in a file of its own."""

pytest_plugins = ("tests.fix_db", "tests.fix_broker", "tests.fix_house", "tests.fix_attacks")
