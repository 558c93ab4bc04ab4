"""The pilot's toolbox: one module, one command, DIRAC's names in snake case."""
