"""DIRAC's job state machine as data, and the one judgement of a report: may it move the job, and if not, why."""

from __future__ import annotations

MOVES: dict[str, tuple[str, ...]] = {
    "Submitting": ("Received", "Checking", "Deleted", "Killed"),
    "Received": ("Scouting", "Checking", "Staging", "Waiting", "Failed", "Deleted", "Killed"),
    "Checking": ("Scouting", "Staging", "Waiting", "Rescheduled", "Failed", "Deleted", "Killed"),
    "Scouting": ("Checking", "Failed", "Stalled", "Killed"),
    "Staging": ("Checking", "Waiting", "Failed", "Killed"),
    "Waiting": ("Matched", "Rescheduled", "Deleted", "Killed"),
    "Matched": ("Running", "Failed", "Rescheduled", "Killed"),
    "Rescheduled": ("Waiting", "Received", "Deleted", "Failed", "Killed"),
    "Running": ("Stalled", "Done", "Failed", "Rescheduled", "Completing", "Killed", "Received"),
    "Stalled": ("Running", "Failed", "Killed"),
    "Completing": ("Done", "Failed", "Completed", "Stalled", "Killed"),
    "Completed": ("Done", "Failed"),
    "Done": ("Deleted",),
    "Failed": ("Rescheduled", "Deleted"),
    "Killed": ("Deleted",),
    "Deleted": (),
}
STATES = tuple(MOVES)
FINAL = frozenset({"Done", "Completed", "Failed", "Killed"})  # the payload is over
ROW_FINAL = frozenset({"Deleted"})  # nothing about the job will change any more

MAX_RESCHEDULING = 3
RESCHEDULE_DELAYS_S = (60, 180, 300, 600)

BULK_TRANSACTION_CONFIRMATION = "Bulk transaction confirmation"
JOB_ACCEPTED = "Job accepted"
JOB_PATH = "JobPath"
JOB_SANITY = "JobSanity"
INPUT_DATA = "InputData"
JOB_SCHEDULING = "JobScheduling"
PILOT_AGENT_SUBMISSION = "Pilot Agent Submission"
ASSIGNED = "Assigned"
JOB_RECEIVED_BY_AGENT = "Job Received by Agent"
SUBMITTING_TO_CE = "Submitting To CE"
JOB_WRAPPER_INITIALIZATION = "Job Wrapper Initialization"
JOB_INITIALIZATION = "Job Initialization"
DOWNLOADING_INPUT_SANDBOX = "Downloading InputSandbox"
INPUT_DATA_RESOLUTION = "Input Data Resolution"
APPLICATION = "Application"
UPLOADING_OUTPUT_DATA = "Uploading Output Data"
OUTPUT_SANDBOX_UPLOADED = "Output Sandbox Uploaded"
EXECUTION_COMPLETE = "Execution Complete"
APPLICATION_FINISHED_WITH_ERRORS = "Application Finished With Errors"
PENDING_REQUESTS = "Pending Requests"
MARKED_FOR_TERMINATION = "Marked for termination"
MAXIMUM_OF_RESCHEDULINGS_REACHED = "Maximum of reschedulings reached"


def may_follow(state: str, following: str) -> bool:
    """Say whether the table has this move; a state does not follow itself."""
    return following in MOVES.get(state, ())


def decide_move(state: str, wanted: str, attempt: int, report_attempt: int) -> str | None:
    """Give None when the report moves the job, or the one sentence that says why it changes nothing."""
    for name in (state, wanted):
        if name not in MOVES:
            return f"there is no job state called {name}"
    if report_attempt < attempt:
        return f"the report is about attempt {report_attempt}, but the job is in attempt {attempt}"
    if report_attempt > attempt:
        return f"attempt {report_attempt} has not begun, the job is in attempt {attempt}"
    if wanted == state:
        return f"the job is already {state}"
    # DIRAC: who reports is alive, so a Stalled job is judged as the Running one it turned out to be.
    judged = "Running" if state == "Stalled" else state
    if wanted == judged or may_follow(judged, wanted):
        return None
    return f"a job that is {state} cannot become {wanted}"


def diagram() -> str:
    """Give the table as a mermaid state diagram."""
    return draw(MOVES, "Submitting")


def draw(moves: dict[str, tuple[str, ...]], first: str) -> str:
    """Give any table of moves as a mermaid state diagram."""
    lines = ["stateDiagram-v2", f"    [*] --> {first}"]
    lines += [f"    {state} --> {following}" for state, after in moves.items() for following in after]
    lines += [f"    {state} --> [*]" for state, after in moves.items() if not after]
    return "\n".join(lines) + "\n"
