"""Calls one Python function in a job: python3 pilotbus_call.py FILE FUNCTION ARGUMENTS, and result.json says what came of it.

It runs on a worker node by itself, with whatever Python 3.6 or newer is there.
"""

import base64
import functools
import importlib.util
import json
import pathlib
import sys
import traceback
import types

RESULT = "result.json"


def main(file: str, function: str, arguments: str) -> int:
    """The exit code: 0 with the value in result.json, else 1 with the error."""
    told = {}
    try:
        if importlib.util.find_spec("pilotbus") is None:  # what submits stands in the same file, and does nothing here
            sys.modules["pilotbus"] = types.ModuleType("pilotbus")
        given = json.loads(base64.b64decode(arguments).decode())
        name = file[: -len(".py")]  # and never __main__, so that a script only defines what it defines
        spec = importlib.util.spec_from_file_location(name, file)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        spec.loader.exec_module(module)
        value = functools.reduce(getattr, function.split("."), module)(*given["args"], **given["kwargs"])  # type: ignore[operator]
        told = {"value": value}
        json.dumps(told)
    except Exception as problem:
        traceback.print_exc()
        told = {"error": f"{type(problem).__name__}: {problem}"}
    pathlib.Path(RESULT).write_text(json.dumps(told), encoding="ascii")
    return 0 if "value" in told else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
