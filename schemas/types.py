"""Bodies of the events, requests and replies, for the type checker alone. Written by `python -m deploy.generate`; do not edit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, TypedDict

if TYPE_CHECKING:  # not in Python 3.9, which imports this all the same
    from typing_extensions import NotRequired


class BulkCheckedV1(TypedDict):
    """A part of a submission has passed its checks"""

    submission: str
    first_job_id: int
    last_job_id: int
    owner: str
    owner_group: str
    vo: str


class BulkConfirmV1(TypedDict):
    """Accept all jobs that were stored"""

    submission: str
    first_job_id: int
    count: int


class BulkConfirmV1Reply(TypedDict):
    """All jobs are accepted"""

    submission: str
    first_job_id: int
    count: int
    state: str
    expires_at: NotRequired[str]


class BulkConfirmedV1(TypedDict):
    """All jobs of a submission are accepted"""

    submission: str
    first_job_id: int
    last_job_id: int
    count: int
    owner: str
    owner_group: str
    vo: str


class BulkDeletedV1(TypedDict):
    """Many jobs were deleted"""

    first_job_id: int
    last_job_id: int
    ranges: list[list[int]]
    count: int
    owner: str
    owner_group: str
    vo: str
    requested_by: str


class BulkExpiredV1(TypedDict):
    """A submission's time to be confirmed is up"""

    submission: str


class BulkFailedV1(TypedDict):
    """Jobs of a submission can never run"""

    submission: str
    ranges: list[list[int]]
    count: int
    minor_status: str
    application_status: NotRequired[str]
    owner: str
    owner_group: str
    vo: str


class BulkKilledV1(TypedDict):
    """Many jobs were killed"""

    first_job_id: int
    last_job_id: int
    ranges: list[list[int]]
    count: int
    owner: str
    owner_group: str
    vo: str
    requested_by: str


class BulkRemovedV1(TypedDict):
    """A submission was never confirmed and is gone"""

    submission: str
    first_job_id: int
    last_job_id: int
    count: int
    owner: str
    owner_group: str
    vo: str
    expires_at: str


class BulkRescheduledV1(TypedDict):
    """Many jobs were rescheduled"""

    first_job_id: int
    last_job_id: int
    ranges: list[list[int]]
    count: int
    owner: str
    owner_group: str
    vo: str
    requested_by: str


class BulkSubmitV1Dataref(TypedDict):
    """The rows of many different jobs, in the sandbox store, plain or packed by gzip."""

    digest: str
    size_bytes: int
    format: Literal["jsonl", "table"]


class BulkSubmitV1(TypedDict):
    """Store many jobs, to be confirmed"""

    submission: str
    description: NotRequired[dict[str, Any]]
    dataref: NotRequired[BulkSubmitV1Dataref]
    owner_group: NotRequired[str]
    expires_s: NotRequired[int]


class BulkSubmitV1Reply(TypedDict):
    """The jobs are stored and have these ids"""

    submission: str
    first_job_id: int
    count: int
    state: str
    expires_at: NotRequired[str]


class BulkSubmittedV1(TypedDict):
    """The jobs of a submission are stored"""

    submission: str
    first_job_id: int
    last_job_id: int
    count: int
    owner: str
    owner_group: str
    vo: str
    expires_at: str


class BulkWaitingV1Queues(TypedDict):
    """How many of them wait in one queue, with one priority."""

    queue_id: int
    priority: int
    count: int


class BulkWaitingV1(TypedDict):
    """A part of a submission waits for pilots"""

    submission: str
    first_job_id: int
    last_job_id: int
    queues: list[BulkWaitingV1Queues]
    owner: str
    owner_group: str
    vo: str


class ClockMinuteV1(TypedDict):
    """A minute has begun"""

    minute: str


class GroupDescribedV1(TypedDict):
    """An operator describes a group"""

    group: str
    vo: str
    properties: list[Literal["TrustedHost", "NormalUser", "CSAdministrator", "JobSharing", "ServiceAdministrator", "JobAdministrator", "JobMonitor", "AccountingMonitor", "Pilot", "GenericPilot", "SiteManager", "UserManager", "Operator", "FullDelegation", "LimitedDelegation", "PrivateLimitedDelegation", "ProxyManagement", "ProductionManagement", "ProductionSharing", "ProductionUser", "PPGAuthority", "BookkeepingManagement", "AlarmsManagement", "FileCatalogManagement", "StageAllowed"]]
    job_share: NotRequired[int]


class GroupRefusedV1(TypedDict):
    """A description of a group changed nothing"""

    group: str
    reason: str


class JobCheckedV1(TypedDict):
    """A job was checked and makes sense"""

    job_id: int
    attempt: int


class JobCompletingV1(TypedDict):
    """A job's payload is over, its output is on the way"""

    job_id: int
    attempt: int
    minor_status: str
    application_status: NotRequired[str]
    exit_code: NotRequired[int]


class JobDeleteV1(TypedDict):
    """Delete jobs"""

    job_ids: NotRequired[list[int]]
    ranges: NotRequired[list[list[int]]]
    job_group: NotRequired[str]
    submission: NotRequired[str]
    owner: NotRequired[str]
    owner_group: NotRequired[str]
    site: NotRequired[str]
    states: NotRequired[list[str]]
    submitted_after: NotRequired[str]
    submitted_before: NotRequired[str]
    after: NotRequired[int]


class JobDeleteV1ReplyCounts(TypedDict):
    """How many jobs had which outcome."""

    deleted: int
    already: int
    refused: int


class JobDeleteV1ReplyRefusals(TypedDict):
    """One reason."""

    reason: str
    count: int
    first_job_id: int


class JobDeleteV1ReplyResults(TypedDict):
    """What became of one job."""

    job_id: int
    outcome: str
    reason: NotRequired[str]


class JobDeleteV1Reply(TypedDict):
    """What became of the jobs"""

    counts: JobDeleteV1ReplyCounts
    refusals: list[JobDeleteV1ReplyRefusals]
    results: NotRequired[list[JobDeleteV1ReplyResults]]
    after: int
    more: bool


class JobDeletedV1(TypedDict):
    """A job was deleted"""

    job_id: int
    attempt: int
    minor_status: str


class JobDoneV1(TypedDict):
    """A job ended well"""

    job_id: int
    attempt: int
    minor_status: str
    application_status: NotRequired[str]
    exit_code: NotRequired[int]


class JobFailedV1(TypedDict):
    """A job ended badly"""

    job_id: int
    attempt: int
    minor_status: str
    application_status: NotRequired[str]
    exit_code: NotRequired[int]


class JobGroupsV1(TypedDict):
    """Ask how many jobs of groups are in which state"""

    job_group: NotRequired[str]
    owner: NotRequired[str]
    owner_group: NotRequired[str]
    everybody: NotRequired[bool]
    after: NotRequired[list[str]]


class JobGroupsV1ReplyGroupsCounts(TypedDict):
    """How many are in each state; a state without jobs is absent."""

    Submitting: NotRequired[int]
    Received: NotRequired[int]
    Checking: NotRequired[int]
    Scouting: NotRequired[int]
    Staging: NotRequired[int]
    Waiting: NotRequired[int]
    Matched: NotRequired[int]
    Rescheduled: NotRequired[int]
    Running: NotRequired[int]
    Stalled: NotRequired[int]
    Completing: NotRequired[int]
    Completed: NotRequired[int]
    Done: NotRequired[int]
    Failed: NotRequired[int]
    Killed: NotRequired[int]
    Deleted: NotRequired[int]


class JobGroupsV1ReplyGroups(TypedDict):
    """The jobs of one owner with one JobGroup."""

    job_group: str
    owner: str
    owner_group: str
    vo: str
    jobs: int
    counts: JobGroupsV1ReplyGroupsCounts


class JobGroupsV1Reply(TypedDict):
    """How many jobs of groups are in which state"""

    groups: list[JobGroupsV1ReplyGroups]
    more: bool


class JobHoldEndedV1(TypedDict):
    """Rescheduled jobs may wait again"""

    ranges: list[list[int]]


class JobKillV1(TypedDict):
    """Kill jobs"""

    job_ids: NotRequired[list[int]]
    ranges: NotRequired[list[list[int]]]
    job_group: NotRequired[str]
    submission: NotRequired[str]
    owner: NotRequired[str]
    owner_group: NotRequired[str]
    site: NotRequired[str]
    states: NotRequired[list[str]]
    submitted_after: NotRequired[str]
    submitted_before: NotRequired[str]
    after: NotRequired[int]


class JobKillV1ReplyCounts(TypedDict):
    """How many jobs had which outcome."""

    killed: int
    requested: int
    acknowledged: int
    already: int
    refused: int


class JobKillV1ReplyRefusals(TypedDict):
    """One reason."""

    reason: str
    count: int
    first_job_id: int


class JobKillV1ReplyResults(TypedDict):
    """What became of one job."""

    job_id: int
    outcome: str
    reason: NotRequired[str]


class JobKillV1Reply(TypedDict):
    """What became of the jobs"""

    counts: JobKillV1ReplyCounts
    refusals: list[JobKillV1ReplyRefusals]
    results: NotRequired[list[JobKillV1ReplyResults]]
    after: int
    more: bool
    pending: NotRequired[list[list[int]]]


class JobKillRequestedV1(TypedDict):
    """A pilot is to kill its job"""

    job_id: int
    attempt: int
    pilot_id: str
    requested_by: str


class JobKilledV1(TypedDict):
    """A job was killed"""

    job_id: int
    attempt: int
    minor_status: str
    application_status: NotRequired[str]
    exit_code: NotRequired[int]


class JobLeaseExpiredV1(TypedDict):
    """An attempt's lease is over"""

    job_id: int
    attempt: int


class JobMatchExpiredV1(TypedDict):
    """A match's time to start is up"""

    job_id: int
    attempt: int


class JobMatchedV1(TypedDict):
    """A pilot has got a job"""

    job_id: int
    attempt: int
    pilot_id: str
    site: str


class JobPeekV1(TypedDict):
    """See how a running job is, now"""

    job_id: int
    wait_s: int


class JobPeekV1Reply(TypedDict):
    """How a running job is"""

    fresh: bool
    at: NotRequired[str]
    attempt: NotRequired[int]
    wall_s: NotRequired[float]
    cpu_s: NotRequired[float]
    memory_mb: NotRequired[int]
    disk_mb: NotRequired[int]
    last_lines: NotRequired[list[str]]


class JobQueryV1(TypedDict):
    """Ask how jobs are"""

    job_ids: NotRequired[list[int]]
    ranges: NotRequired[list[list[int]]]
    job_group: NotRequired[str]
    submission: NotRequired[str]
    owner: NotRequired[str]
    owner_group: NotRequired[str]
    site: NotRequired[str]
    states: NotRequired[list[str]]
    submitted_after: NotRequired[str]
    submitted_before: NotRequired[str]
    after: NotRequired[int]
    limit: NotRequired[int]
    newest: NotRequired[bool]
    history: NotRequired[bool]


class JobQueryV1ReplyJobsOutput(TypedDict):
    """The output sandbox; absent when there is none, or whoever asks may not have it."""

    digest: str
    size_bytes: NotRequired[int]


class JobQueryV1ReplyJobsHistory(TypedDict):
    """One step of its past."""

    at: str
    state: str
    minor_status: str
    application_status: str
    attempt: int
    source: str


class JobQueryV1ReplyJobs(TypedDict):
    """One job."""

    job_id: int
    attempt: int
    state: str
    minor_status: str
    application_status: str
    job_name: str
    job_group: str
    owner: str
    owner_group: NotRequired[str]
    vo: NotRequired[str]
    site: NotRequired[str]
    pilot_id: NotRequired[str]
    submitted_at: str
    changed_at: str
    exit_code: NotRequired[int]
    isolation: NotRequired[Literal["none", "userns", "bubblewrap", "apptainer"]]
    output: NotRequired[JobQueryV1ReplyJobsOutput]
    history: NotRequired[list[JobQueryV1ReplyJobsHistory]]


class JobQueryV1Reply(TypedDict):
    """How the jobs are"""

    jobs: list[JobQueryV1ReplyJobs]
    more: bool


class JobRefusedV1(TypedDict):
    """A report about a job changed nothing"""

    job_id: int
    attempt: int
    wanted_state: str
    state: str
    reason: str


class JobReportedV1Output(TypedDict):
    """The output sandbox, already in the store; absent when there is none."""

    digest: str
    size_bytes: int


class JobReportedV1(TypedDict):
    """A pilot reports how its job goes"""

    job_id: int
    attempt: int
    pilot_id: str
    state: Literal["Running", "Completing", "Done", "Failed", "Killed"]
    minor_status: str
    application_status: NotRequired[str]
    exit_code: NotRequired[int]
    signal: NotRequired[int]
    isolation: NotRequired[Literal["none", "userns", "bubblewrap", "apptainer"]]
    output: NotRequired[JobReportedV1Output]


class JobRescheduleV1(TypedDict):
    """Reschedule jobs"""

    job_ids: NotRequired[list[int]]
    ranges: NotRequired[list[list[int]]]
    job_group: NotRequired[str]
    submission: NotRequired[str]
    owner: NotRequired[str]
    owner_group: NotRequired[str]
    site: NotRequired[str]
    states: NotRequired[list[str]]
    submitted_after: NotRequired[str]
    submitted_before: NotRequired[str]
    after: NotRequired[int]


class JobRescheduleV1ReplyCounts(TypedDict):
    """How many jobs had which outcome."""

    rescheduled: int
    already: int
    refused: int


class JobRescheduleV1ReplyRefusals(TypedDict):
    """One reason."""

    reason: str
    count: int
    first_job_id: int


class JobRescheduleV1ReplyResults(TypedDict):
    """What became of one job."""

    job_id: int
    outcome: str
    reason: NotRequired[str]


class JobRescheduleV1Reply(TypedDict):
    """What became of the jobs"""

    counts: JobRescheduleV1ReplyCounts
    refusals: list[JobRescheduleV1ReplyRefusals]
    results: NotRequired[list[JobRescheduleV1ReplyResults]]
    after: int
    more: bool


class JobRescheduledV1(TypedDict):
    """A job begins a new attempt"""

    job_id: int
    attempt: int
    minor_status: str
    application_status: NotRequired[str]
    exit_code: NotRequired[int]
    delay_s: NotRequired[int]


class JobRunningV1(TypedDict):
    """A job runs"""

    job_id: int
    attempt: int
    minor_status: str
    application_status: NotRequired[str]
    exit_code: NotRequired[int]
    isolation: NotRequired[Literal["none", "userns", "bubblewrap", "apptainer"]]


class JobShowV1(TypedDict):
    """Ask for everything about a job"""

    job_id: int


class JobShowV1ReplyOrders(TypedDict):
    """One order."""

    order: str
    attempt: int
    pilot_id: str
    requested_by: str
    at: str
    outcome: str
    ended_at: NotRequired[str]
    reason: NotRequired[str]


class JobShowV1Reply(TypedDict):
    """Everything about a job"""

    job_id: int
    submission: NotRequired[str]
    reschedules: int
    attributes: dict[str, Any]
    parameters: dict[str, Any]
    orders: list[JobShowV1ReplyOrders]


class JobStalledV1(TypedDict):
    """Nothing is heard of a job"""

    job_id: int
    attempt: int
    minor_status: str
    application_status: NotRequired[str]


class JobSubmitV1(TypedDict):
    """Hand in a job, or a parameter sweep of jobs"""

    submission: str
    description: dict[str, Any]
    owner_group: NotRequired[str]


class JobSubmitV1Reply(TypedDict):
    """The jobs have these ids"""

    first_job_id: int
    count: int


class JobSubmittedV1(TypedDict):
    """A job was accepted"""

    job_id: int
    submission: str
    owner: str
    owner_group: str
    vo: str
    job_name: str
    job_group: str


class JobWaitingV1(TypedDict):
    """A job waits for a pilot"""

    job_id: int
    attempt: int
    queue_id: int
    priority: NotRequired[int]
    job_group: NotRequired[str]


class LimitQueryV1(TypedDict):
    """Ask what is limited at sites"""

    site: NotRequired[str]
    after: NotRequired[int]
    limit: NotRequired[int]


class LimitQueryV1ReplyLimits(TypedDict):
    """One limit."""

    limit_id: int
    site: str
    ce: str
    attribute: Literal["Owner", "OwnerGroup", "VO", "JobType", "JobGroup", "*"]
    value: str
    running: int
    most: NotRequired[int]
    delay_s: NotRequired[float]
    burst: NotRequired[int]
    reached: bool
    again_s: NotRequired[float]


class LimitQueryV1Reply(TypedDict):
    """What is limited at sites, and how far it is used"""

    limits: list[LimitQueryV1ReplyLimits]
    more: bool


class LogReadV1(TypedDict):
    """Ask for the lines of a job"""

    job_id: int
    after: NotRequired[dict[str, int]]
    attempt: NotRequired[int]
    stream: NotRequired[Literal["std.out", "std.err", "pilot"]]
    limit: NotRequired[int]


class LogReadV1ReplyLines(TypedDict):
    """One line."""

    attempt: int
    stream: Literal["std.out", "std.err", "pilot"]
    number: int
    at: str
    text: str
    level: NotRequired[Literal["debug", "info", "warning", "error"]]


class LogReadV1Reply(TypedDict):
    """Lines of the job"""

    lines: list[LogReadV1ReplyLines]
    more: bool


class LogReadPilotV1(TypedDict):
    """Ask for what a pilot says of itself"""

    pilot_id: str
    after: NotRequired[int]
    limit: NotRequired[int]


class LogReadPilotV1ReplyLines(TypedDict):
    """One line."""

    attempt: int
    stream: Literal["std.out", "std.err", "pilot"]
    number: int
    at: str
    text: str
    level: NotRequired[Literal["debug", "info", "warning", "error"]]


class LogReadPilotV1Reply(TypedDict):
    """Lines of the pilot"""

    lines: list[LogReadPilotV1ReplyLines]
    more: bool


class LogStoredV1Lines(TypedDict):
    """One line."""

    at: str
    text: str
    level: NotRequired[Literal["debug", "info", "warning", "error"]]
    number: NotRequired[int]


class LogStoredV1(TypedDict):
    """Lines are stored and can be read"""

    pilot_id: str
    job_id: NotRequired[int]
    attempt: NotRequired[int]
    stream: Literal["std.out", "std.err", "pilot"]
    first_number: int
    lines: list[LogStoredV1Lines]


class LogWrittenV1Lines(TypedDict):
    """One line."""

    at: str
    text: str
    level: NotRequired[Literal["debug", "info", "warning", "error"]]
    number: NotRequired[int]


class LogWrittenV1(TypedDict):
    """A pilot streams lines"""

    pilot_id: str
    job_id: NotRequired[int]
    attempt: NotRequired[int]
    stream: Literal["std.out", "std.err", "pilot"]
    first_number: int
    lines: list[LogWrittenV1Lines]


class MatchReleasedV1(TypedDict):
    """More may be matched at a site"""

    site: str
    ce: NotRequired[str]


class MatchRequestV1(TypedDict):
    """Ask for a job"""

    request_id: str
    pilot_id: str
    wait_s: int
    resource: dict[str, Any]


class MatchRequestV1ReplyJobInput(TypedDict):
    """The input sandbox; absent when there is none."""

    digest: str
    size_bytes: NotRequired[int]


class MatchRequestV1ReplyJob(TypedDict):
    """The job; null when there is none yet."""

    job_id: int
    attempt: int
    owner: str
    vo: str
    description: dict[str, Any]
    input: NotRequired[MatchRequestV1ReplyJobInput]
    least_isolation: NotRequired[Literal["none", "userns", "bubblewrap", "apptainer"]]


class MatchRequestV1ReplyWhy(TypedDict):
    """Why there was no job; only with job null, and absent when it is not known."""

    headline: str
    queues: int
    fits: int
    fails: dict[str, int]


class MatchRequestV1Reply(TypedDict):
    """A job for the pilot, or nothing yet"""

    job: MatchRequestV1ReplyJob | None
    why: NotRequired[MatchRequestV1ReplyWhy]


class MatchShadowedV1Chosen(TypedDict):
    """Whose job it has got."""

    owner_group: str
    owner: str
    queue_id: int


class MatchShadowedV1Shadow(TypedDict):
    """Whose job the shadow policy would have given."""

    owner_group: str
    owner: str
    queue_id: int


class MatchShadowedV1(TypedDict):
    """A shadow policy says whom it would have served"""

    pilot_id: str
    chosen: MatchShadowedV1Chosen
    shadow: MatchShadowedV1Shadow
    policy: str


class MatchWhyV1(TypedDict):
    """Ask why a job waits or a pilot gets none"""

    job_id: NotRequired[int]
    pilot_id: NotRequired[str]
    at: NotRequired[str]


class MatchWhyV1ReplyJob(TypedDict):
    """The job as it was then."""

    job_id: int
    state: str
    minor_status: str
    since: str
    attempt: int


class MatchWhyV1ReplyPilot(TypedDict):
    """The pilot as it was then."""

    pilot_id: str
    site: str
    phase: NotRequired[str]
    since: NotRequired[str]
    jobs: list[int]


class MatchWhyV1ReplyEmpty(TypedDict):
    """The pilot's last answer without a job."""

    at: str
    request_id: str
    resource: str
    queues: int
    fits: int


class MatchWhyV1ReplyRequirements(TypedDict):
    """A requirement; of a job it says wants, resources, pilots and best, of a pilot has and queues."""

    field: str
    wants: NotRequired[str]
    resources: NotRequired[int]
    pilots: NotRequired[int]
    best: NotRequired[str]
    has: NotRequired[str]
    queues: NotRequired[int]


class MatchWhyV1ReplyNearest(TypedDict):
    """What failed the fewest requirements; of several, the one of most pilots, or with most jobs."""

    resource: NotRequired[str]
    pilots: NotRequired[int]
    queue_id: NotRequired[int]
    waiting: NotRequired[int]
    fields: list[str]
    reasons: list[str]


class MatchWhyV1Reply(TypedDict):
    """Why the job waits or the pilot gets none"""

    headline: str
    also: list[str]
    job: NotRequired[MatchWhyV1ReplyJob]
    pilot: NotRequired[MatchWhyV1ReplyPilot]
    empty: NotRequired[MatchWhyV1ReplyEmpty]
    resources: NotRequired[int]
    pilots: NotRequired[int]
    fitting_resources: NotRequired[int]
    fitting_pilots: NotRequired[int]
    requirements: NotRequired[list[MatchWhyV1ReplyRequirements]]
    nearest: NotRequired[MatchWhyV1ReplyNearest]


class MatchWithdrawV1(TypedDict):
    """Take back a request for a job"""

    pilot_id: str
    request_id: str


class MatchWithdrawV1Reply(TypedDict):
    """The request is taken back, or was faster"""

    withdrawn: bool


class ParkingDropV1(TypedDict):
    """Settle a message for good"""

    parked_id: int


class ParkingDropV1Reply(TypedDict):
    """The message is settled"""

    parked_id: int


class ParkingListV1(TypedDict):
    """Ask which messages were put aside"""

    after: NotRequired[int]
    limit: NotRequired[int]


class ParkingListV1ReplyParked(TypedDict):
    """One message."""

    parked_id: int
    parked_at: str
    queue: str
    reason: str
    account: NotRequired[str]
    event_id: NotRequired[str]
    type: NotRequired[str]
    detail: str


class ParkingListV1Reply(TypedDict):
    """The messages that were put aside"""

    parked: list[ParkingListV1ReplyParked]
    more: bool


class ParkingReplayV1(TypedDict):
    """Send a message to its queue once more"""

    parked_id: int


class ParkingReplayV1Reply(TypedDict):
    """The message is on its way"""

    parked_id: int
    queue: str


class ParkingShowV1(TypedDict):
    """Ask for one message that was put aside"""

    parked_id: int


class ParkingShowV1Reply(TypedDict):
    """The message whole"""

    parked_id: int
    parked_at: str
    queue: str
    reason: str
    account: NotRequired[str]
    event_id: NotRequired[str]
    type: NotRequired[str]
    detail: str
    body: str
    settled: NotRequired[str]
    settled_by: NotRequired[str]


class PilotBeatV1Jobs(TypedDict):
    """One attempt, and what it has used so far."""

    job_id: int
    attempt: int
    wall_s: NotRequired[float]
    cpu_s: NotRequired[float]
    memory_mb: NotRequired[int]
    disk_mb: NotRequired[int]
    last_lines: NotRequired[list[str]]


class PilotBeatV1(TypedDict):
    """A pilot lives, and asks for its leases anew"""

    pilot_id: str
    number: int
    load: NotRequired[float]
    free_memory_mb: NotRequired[int]
    free_disk_mb: NotRequired[int]
    jobs: list[PilotBeatV1Jobs]


class PilotBeatV1ReplyLeases(TypedDict):
    """One attempt's lease."""

    job_id: int
    attempt: int
    lease_s: int


class PilotBeatV1Reply(TypedDict):
    """The leases that the pilot has"""

    beat_s: int
    leases: list[PilotBeatV1ReplyLeases]


class PilotBootV1(TypedDict):
    """A pilot's wrapper tells that it runs, or that it can not"""

    pilot_id: str
    secret_sha256: str
    phase: Literal["wrapper_started", "wrapper_failed"]
    reason: NotRequired[str]
    exit_code: NotRequired[int]
    host: NotRequired[str]
    system: NotRequired[str]
    peer: str


class PilotBootV1Reply(TypedDict):
    """The wrapper was heard"""

    news: bool


class PilotBootingV1(TypedDict):
    """A pilot's wrapper runs on a node, or has failed there"""

    pilot_id: str
    site: str
    phase: Literal["wrapper_started", "wrapper_failed"]
    reason: NotRequired[str]
    exit_code: NotRequired[int]
    host: NotRequired[str]
    system: NotRequired[str]
    peer: str


class PilotDisconnectedV1(TypedDict):
    """A pilot's connection to the broker is gone"""

    pilot_id: str


class PilotDrainV1(TypedDict):
    """Order a pilot to leave"""

    pilot_id: str


class PilotDrainV1Reply(TypedDict):
    """The pilot has the order"""

    number: int


class PilotEnrolV1(TypedDict):
    """A pilot enrols"""

    pilot_id: str
    secret_sha256: str
    use_sha256: str
    peer: str
    version: NotRequired[str]


class PilotEnrolV1ReplyConfigurationPlansAdd(TypedDict):
    """A command and its place."""

    command: str
    before: NotRequired[str]
    after: NotRequired[str]


class PilotEnrolV1ReplyConfigurationPlans(TypedDict):
    """A plan that is made anew, or changed."""

    plan: str
    of: NotRequired[str]
    commands: NotRequired[list[str]]
    without: NotRequired[list[str]]
    add: NotRequired[list[PilotEnrolV1ReplyConfigurationPlansAdd]]


class PilotEnrolV1ReplyConfiguration(TypedDict):
    """How it is to work at its site and for its community; the changes of plans are those of both."""

    plan: NotRequired[str]
    plans: NotRequired[list[PilotEnrolV1ReplyConfigurationPlans]]
    cvmfs: NotRequired[list[str]]
    least: NotRequired[dict[str, int]]
    idle_limit: NotRequired[int]
    max_jobs: NotRequired[int]
    pool: NotRequired[bool]
    wall_factor: NotRequired[float]
    benchmark_s: NotRequired[float]


class PilotEnrolV1Reply(TypedDict):
    """A pilot's token"""

    pilot_id: str
    token: str
    expires_at: str
    site: str
    ce: str
    vo: str
    tags: list[str]
    least_version: str
    configuration: NotRequired[PilotEnrolV1ReplyConfiguration]


class PilotEnrolledV1(TypedDict):
    """A pilot has used its secret"""

    pilot_id: str
    site: str
    peer: str
    version: NotRequired[str]


class PilotFoundV1(TypedDict):
    """A lost pilot is heard again"""

    pilot_id: str
    site: str


class PilotInviteV1(TypedDict):
    """Ask for enrolment secrets"""

    site: str
    ce: NotRequired[str]
    vo: NotRequired[str]
    owner: NotRequired[str]
    owner_group: NotRequired[str]
    tags: NotRequired[list[str]]
    count: NotRequired[int]
    pilot_id: NotRequired[str]
    lifetime_s: NotRequired[int]


class PilotInviteV1ReplyPilots(TypedDict):
    """A pilot that may come."""

    pilot_id: str
    secret: str
    expires_at: str


class PilotInviteV1Reply(TypedDict):
    """Enrolment secrets"""

    pilots: list[PilotInviteV1ReplyPilots]


class PilotInvitedV1(TypedDict):
    """A pilot may come"""

    pilot_id: str
    site: str
    ce: NotRequired[str]
    vo: NotRequired[str]
    owner: NotRequired[str]
    owner_group: NotRequired[str]
    invited_by: str
    expires_at: str


class PilotListenV1(TypedDict):
    """Ask for orders"""

    pilot_id: str
    after: int
    wait_s: int


class PilotListenV1ReplyOrders(TypedDict):
    """One order."""

    number: int
    order: str
    job_id: NotRequired[int]
    attempt: NotRequired[int]
    level: NotRequired[str]
    valid_s: NotRequired[int]


class PilotListenV1Reply(TypedDict):
    """The orders that the pilot has not heard"""

    orders: list[PilotListenV1ReplyOrders]


class PilotLostV1(TypedDict):
    """Nothing is heard of a pilot"""

    pilot_id: str
    site: str
    last_beat_at: str
    jobs: int
    state: Literal["Unknown", "Aborted"]


class PilotObeyedV1(TypedDict):
    """A pilot acknowledges an order"""

    pilot_id: str
    number: int
    outcome: Literal["taken", "refused"]
    reason: NotRequired[str]


class PilotOrderDueV1(TypedDict):
    """An order's time is up"""

    pilot_id: str
    number: int


class PilotOrderEndedV1(TypedDict):
    """What became of an order"""

    pilot_id: str
    number: int
    order: Literal["drain", "stop", "kill", "peek", "log_level"]
    outcome: Literal["taken", "refused", "expired"]
    reason: NotRequired[str]
    job_id: NotRequired[int]
    attempt: NotRequired[int]


class PilotOrderedV1(TypedDict):
    """A pilot has an order"""

    pilot_id: str
    number: int
    order: Literal["drain", "stop", "kill", "peek", "log_level"]
    requested_by: str
    job_id: NotRequired[int]
    attempt: NotRequired[int]


class PilotQueryV1(TypedDict):
    """Ask which pilots there are"""

    after: NotRequired[str]
    limit: NotRequired[int]


class PilotQueryV1ReplyPilots(TypedDict):
    """One pilot."""

    pilot_id: str
    site: str
    state: str
    phase: str
    reason: NotRequired[str]
    jobs: NotRequired[int]
    first_seen_at: str
    last_seen_at: str


class PilotQueryV1Reply(TypedDict):
    """The pilots that have been heard of"""

    pilots: list[PilotQueryV1ReplyPilots]
    more: bool


class PilotReportedV1(TypedDict):
    """A pilot reports where it is in its life"""

    pilot_id: str
    site: str
    phase: str
    number: int
    details: NotRequired[dict[str, Any]]
    job_id: NotRequired[int]
    attempt: NotRequired[int]
    seconds: NotRequired[float]


class PilotRevokedV1(TypedDict):
    """A pilot may speak no more"""

    pilot_id: str
    reason: str


class PilotSetLogLevelV1(TypedDict):
    """Order a pilot to say more, or less"""

    pilot_id: str
    level: Literal["debug", "info", "warning", "error"]


class PilotSetLogLevelV1Reply(TypedDict):
    """The order is given"""

    number: int


class PilotShowV1(TypedDict):
    """Ask how a pilot has lived"""

    pilot_id: str
    after: NotRequired[int]
    limit: NotRequired[int]


class PilotShowV1ReplyPhases(TypedDict):
    """One phase."""

    number: int
    phase: str
    at: str
    seconds: NotRequired[float]
    job_id: NotRequired[int]
    attempt: NotRequired[int]
    reason: NotRequired[str]


class PilotShowV1Reply(TypedDict):
    """The phases of the pilot"""

    phases: list[PilotShowV1ReplyPhases]
    more: bool


class PilotSilentV1(TypedDict):
    """A pilot's next beat is overdue"""

    pilot_id: str


class PilotStatsV1(TypedDict):
    """Ask how long the phases of pilots take"""

    site: NotRequired[str]
    since_s: NotRequired[int]


class PilotStatsV1ReplyPhases(TypedDict):
    """One phase at one site."""

    site: str
    phase: str
    count: int
    mean_s: NotRequired[float]
    p50_s: NotRequired[float]
    p95_s: NotRequired[float]
    max_s: NotRequired[float]


class PilotStatsV1ReplyLeaving(TypedDict):
    """One reason at one site."""

    site: str
    reason: str
    failed: bool
    count: int


class PilotStatsV1Reply(TypedDict):
    """How long the phases of pilots take"""

    phases: list[PilotStatsV1ReplyPhases]
    leaving: list[PilotStatsV1ReplyLeaving]
    more: bool


class PilotStopV1(TypedDict):
    """Order a pilot to leave at once"""

    pilot_id: str


class PilotStopV1Reply(TypedDict):
    """The order is given"""

    number: int


class ProxyDelegateV1(TypedDict):
    """Ask for a certificate request to sign"""

    delegation_id: str


class ProxyDelegateV1Reply(TypedDict):
    """The certificate request"""

    delegation_id: str
    csr_pem: str
    expires_at: str


class ProxyDelegationExpiredV1(TypedDict):
    """A delegation's time to be signed is up"""

    delegation_id: str
    account: str


class ProxyDepositV1(TypedDict):
    """Leave a proxy with the house"""

    delegation_id: str
    chain_pem: str


class ProxyDepositV1Reply(TypedDict):
    """The proxy is kept"""

    dn: str
    not_after: str
    fingerprint: str


class ProxyDepositedV1(TypedDict):
    """A proxy is kept for its owner"""

    account: str
    dn: str
    fingerprint: str
    not_after: str


class ProxyDestroyV1(TypedDict):
    """Destroy own proxies"""

    fingerprint: NotRequired[str]


class ProxyDestroyV1ReplyDestroyed(TypedDict):
    """One proxy."""

    dn: str
    fingerprint: str


class ProxyDestroyV1Reply(TypedDict):
    """The proxies that are kept no longer"""

    destroyed: list[ProxyDestroyV1ReplyDestroyed]


class ProxyDestroyedV1(TypedDict):
    """A proxy is kept no longer because its owner wished so"""

    account: str
    dn: str
    fingerprint: str


class ProxyExpiredV1(TypedDict):
    """A proxy has come to its end"""

    account: str
    dn: str
    fingerprint: str


class ProxyFetchV1(TypedDict):
    """Ask for a limited proxy of a job's owner"""

    pilot_id: str
    job_id: int
    attempt: int


class ProxyFetchV1Reply(TypedDict):
    """A limited proxy"""

    pem: str
    not_after: str
    valid_s: int


class ProxyHandedOutV1(TypedDict):
    """A pilot has got a limited proxy for a job"""

    job_id: int
    attempt: int
    pilot_id: str
    account: str
    not_after: str
    fingerprint: str


class ProxyListV1(TypedDict):
    """Ask which proxies are kept"""

    account: NotRequired[str]


class ProxyListV1ReplyProxies(TypedDict):
    """One proxy."""

    account: str
    dn: str
    fingerprint: str
    not_after: str
    deposited_at: str
    last_handed_at: NotRequired[str]


class ProxyListV1Reply(TypedDict):
    """The proxies that are kept"""

    proxies: list[ProxyListV1ReplyProxies]


class RegistryListV1(TypedDict):
    """Ask which accounts there are"""

    account: NotRequired[str]
    after: NotRequired[str]
    limit: NotRequired[int]


class RegistryListV1ReplyAccountsGroups(TypedDict):
    """One group."""

    group: str
    vo: str
    properties: list[Literal["TrustedHost", "NormalUser", "CSAdministrator", "JobSharing", "ServiceAdministrator", "JobAdministrator", "JobMonitor", "AccountingMonitor", "Pilot", "GenericPilot", "SiteManager", "UserManager", "Operator", "FullDelegation", "LimitedDelegation", "PrivateLimitedDelegation", "ProxyManagement", "ProductionManagement", "ProductionSharing", "ProductionUser", "PPGAuthority", "BookkeepingManagement", "AlarmsManagement", "FileCatalogManagement", "StageAllowed"]]


class RegistryListV1ReplyAccounts(TypedDict):
    """One account."""

    account: str
    known: bool
    default_group: NotRequired[str]
    groups: list[RegistryListV1ReplyAccountsGroups]
    dns: list[str]
    email: NotRequired[str]


class RegistryListV1Reply(TypedDict):
    """Which accounts there are"""

    accounts: list[RegistryListV1ReplyAccounts]
    more: bool


class RegistryQueryV1(TypedDict):
    """Ask who an account is"""

    account: NotRequired[str]
    everyone: NotRequired[bool]
    after: NotRequired[str]
    limit: NotRequired[int]


class RegistryQueryV1ReplyAccountsGroups(TypedDict):
    """One group."""

    group: str
    vo: str
    properties: list[Literal["TrustedHost", "NormalUser", "CSAdministrator", "JobSharing", "ServiceAdministrator", "JobAdministrator", "JobMonitor", "AccountingMonitor", "Pilot", "GenericPilot", "SiteManager", "UserManager", "Operator", "FullDelegation", "LimitedDelegation", "PrivateLimitedDelegation", "ProxyManagement", "ProductionManagement", "ProductionSharing", "ProductionUser", "PPGAuthority", "BookkeepingManagement", "AlarmsManagement", "FileCatalogManagement", "StageAllowed"]]


class RegistryQueryV1ReplyAccounts(TypedDict):
    """One account."""

    account: str
    known: bool
    default_group: NotRequired[str]
    groups: list[RegistryQueryV1ReplyAccountsGroups]
    dns: list[str]
    email: NotRequired[str]


class RegistryQueryV1Reply(TypedDict):
    """Who an account is"""

    accounts: list[RegistryQueryV1ReplyAccounts]
    more: bool


class RequestRefusedV1Reply(TypedDict):
    """No, and why"""

    code: str
    reason: str


class SandboxGrantV1(TypedDict):
    """Ask for leave to put or get a sandbox"""

    operation: Literal["put", "get"]
    digest: NotRequired[str]
    size_bytes: NotRequired[int]
    job_id: NotRequired[int]
    which: NotRequired[Literal["input", "output"]]
    attempt: NotRequired[int]
    pilot_id: NotRequired[str]


class SandboxGrantV1Reply(TypedDict):
    """A signed address for the sandbox"""

    url: str
    digest: str
    size_bytes: NotRequired[int]
    headers: NotRequired[dict[str, str]]
    expires_at: str


class SecurityBanV1(TypedDict):
    """Shut somebody out"""

    kind: Literal["user", "pilot", "site"]
    name: str
    reason: str
    minutes: NotRequired[int]
    kill_jobs: NotRequired[bool]


class SecurityBanV1Reply(TypedDict):
    """Shut out"""

    kind: Literal["user", "pilot", "site"]
    name: str
    killed: int
    until: NotRequired[str]
    known: NotRequired[bool]


class SecurityBanLiftedV1(TypedDict):
    """Somebody is let in again"""

    kind: Literal["user", "pilot", "site"]
    name: str


class SecurityBannedV1(TypedDict):
    """Somebody is shut out"""

    kind: Literal["user", "pilot", "site"]
    name: str
    reason: str
    banned_by: str
    until: NotRequired[str]


class SecurityBlockEndedV1(TypedDict):
    """The last token of a revoked pilot has ended"""

    pilot_id: str


class SecurityFloodedV1(TypedDict):
    """An account sends more than anybody should"""

    account: str
    dropped: int


class SecurityLoginFailedV1(TypedDict):
    """The broker let somebody not in"""

    account: str
    peer: str
    mechanism: str
    count: int
    reason: NotRequired[str]


class SecurityQueryV1(TypedDict):
    """Ask what was refused, banned, revoked"""

    since: NotRequired[str]
    account: NotRequired[str]
    limit: NotRequired[int]


class SecurityQueryV1ReplyEvents(TypedDict):
    """One event."""

    type: str
    at: str
    told: dict[str, Any]


class SecurityQueryV1Reply(TypedDict):
    """What was refused, banned, revoked"""

    events: list[SecurityQueryV1ReplyEvents]
    more: bool


class SecurityRefusedV1(TypedDict):
    """Something from outside was refused"""

    account: str
    reason: str
    refused_id: NotRequired[str]
    refused_type: NotRequired[str]
    outcome: Literal["denied", "invalid"]


class SecuritySecretReusedV1(TypedDict):
    """An enrolment secret was used a second time"""

    pilot_id: str
    site: str
    peer: str


class SecurityUnbanV1(TypedDict):
    """Let somebody in again"""

    kind: Literal["user", "pilot", "site"]
    name: str


class SecurityUnbanV1Reply(TypedDict):
    """Let in again"""

    kind: Literal["user", "pilot", "site"]
    name: str


class SecurityWhoRanV1(TypedDict):
    """Ask whose jobs ran on a node"""

    host: str
    at: str


class SecurityWhoRanV1ReplyJobs(TypedDict):
    """One attempt."""

    job_id: int
    attempt: int
    owner: str
    vo: str
    site: str
    pilot_id: str
    began: str
    ended: NotRequired[str]
    state: NotRequired[str]
    isolation: NotRequired[Literal["none", "userns", "bubblewrap", "apptainer"]]


class SecurityWhoRanV1Reply(TypedDict):
    """Whose jobs ran on a node"""

    jobs: list[SecurityWhoRanV1ReplyJobs]
    more: NotRequired[bool]


class ShareDescribedV1(TypedDict):
    """An operator says how fast use is forgotten"""

    half_life_s: int


class ShareQueryV1(TypedDict):
    """Ask how shares and use stand"""

    vo: NotRequired[str]
    group: NotRequired[str]
    after: NotRequired[str]
    limit: NotRequired[int]


class ShareQueryV1ReplyGroups(TypedDict):
    """How a group stands."""

    group: str
    vo: str
    share: int
    sharing: bool
    expected_percent: NotRequired[float]
    used_percent: NotRequired[float]
    processors: int
    core_s: float
    score: NotRequired[float]
    waiting: bool
    place: NotRequired[int]


class ShareQueryV1ReplyUsers(TypedDict):
    """How a user stands inside the group."""

    owner: str
    expected_percent: NotRequired[float]
    used_percent: NotRequired[float]
    processors: int
    core_s: float
    score: NotRequired[float]
    waiting: bool
    place: NotRequired[int]


class ShareQueryV1Reply(TypedDict):
    """How shares and use stand"""

    half_life_s: float
    horizon_s: float
    policy: str
    groups: list[ShareQueryV1ReplyGroups]
    users: list[ShareQueryV1ReplyUsers]
    more: bool


class SiteDescribedV1PilotPlansAdd(TypedDict):
    """A command and its place."""

    command: str
    before: NotRequired[str]
    after: NotRequired[str]


class SiteDescribedV1PilotPlans(TypedDict):
    """A plan that is made anew, or changed."""

    plan: str
    of: NotRequired[str]
    commands: NotRequired[list[str]]
    without: NotRequired[list[str]]
    add: NotRequired[list[SiteDescribedV1PilotPlansAdd]]


class SiteDescribedV1Pilot(TypedDict):
    """How the pilots of this site work; over what their community says."""

    plan: NotRequired[str]
    plans: NotRequired[list[SiteDescribedV1PilotPlans]]
    cvmfs: NotRequired[list[str]]
    least: NotRequired[dict[str, int]]
    idle_limit: NotRequired[int]
    max_jobs: NotRequired[int]
    pool: NotRequired[bool]
    wall_factor: NotRequired[float]
    benchmark_s: NotRequired[float]


class SiteDescribedV1RunningLimits(TypedDict):
    """One limit, on the jobs whose attribute has the value."""

    ce: NotRequired[str]
    attribute: Literal["Owner", "OwnerGroup", "VO", "JobType", "JobGroup", "*"]
    value: str
    most: int


class SiteDescribedV1MatchDelays(TypedDict):
    """One rate, of the jobs whose attribute has the value."""

    ce: NotRequired[str]
    attribute: Literal["Owner", "OwnerGroup", "VO", "JobType", "JobGroup", "*"]
    value: str
    delay_s: float
    burst: NotRequired[int]


class SiteDescribedV1(TypedDict):
    """An operator describes a site"""

    site: str
    description: NotRequired[str]
    max_processors: NotRequired[int]
    max_ram_mb: NotRequired[int]
    max_cpu_time_s: NotRequired[int]
    tags: NotRequired[list[str]]
    storage_elements: NotRequired[list[str]]
    pilot: NotRequired[SiteDescribedV1Pilot]
    status: Literal["active", "banned"]
    running_limits: NotRequired[list[SiteDescribedV1RunningLimits]]
    match_delays: NotRequired[list[SiteDescribedV1MatchDelays]]
    beat_s: NotRequired[int]
    lease_s: NotRequired[int]
    when_lost: NotRequired[Literal["reschedule", "fail"]]


class TokenJobV1(TypedDict):
    """A token for a payload"""

    pilot_id: str
    job_id: int
    attempt: int


class TokenJobV1Reply(TypedDict):
    """A payload's token"""

    token: str
    expires_at: str
    valid_s: int


class TokenLoginV1(TypedDict):
    """A person logs in"""

    dns: list[str]
    limited: bool
    until: str
    peer: str


class TokenLoginV1Reply(TypedDict):
    """A person's token"""

    account: str
    token: str
    expires_at: str


class TokenRenewV1(TypedDict):
    """A pilot renews its token"""

    pilot_id: str


class TokenRenewV1Reply(TypedDict):
    """The next token"""

    token: str
    expires_at: str


class UserDescribedV1(TypedDict):
    """An operator describes an account"""

    account: str
    groups: list[str]
    dns: NotRequired[list[str]]
    email: NotRequired[str]


class UserRefusedV1(TypedDict):
    """A description of an account changed nothing"""

    account: str
    reason: str


class VoDescribedV1PilotPlansAdd(TypedDict):
    """A command and its place."""

    command: str
    before: NotRequired[str]
    after: NotRequired[str]


class VoDescribedV1PilotPlans(TypedDict):
    """A plan that is made anew, or changed."""

    plan: str
    of: NotRequired[str]
    commands: NotRequired[list[str]]
    without: NotRequired[list[str]]
    add: NotRequired[list[VoDescribedV1PilotPlansAdd]]


class VoDescribedV1Pilot(TypedDict):
    """How the pilots that serve this community alone work; what their site says wins."""

    plan: NotRequired[str]
    plans: NotRequired[list[VoDescribedV1PilotPlans]]
    cvmfs: NotRequired[list[str]]
    least: NotRequired[dict[str, int]]
    idle_limit: NotRequired[int]
    max_jobs: NotRequired[int]
    pool: NotRequired[bool]
    wall_factor: NotRequired[float]
    benchmark_s: NotRequired[float]


class VoDescribedV1(TypedDict):
    """An operator describes a community"""

    vo: str
    description: NotRequired[str]
    pilot: NotRequired[VoDescribedV1Pilot]
    least_isolation: NotRequired[Literal["none", "userns", "bubblewrap", "apptainer"]]
