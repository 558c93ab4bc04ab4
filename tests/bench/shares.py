"""`make bench-shares`: what groups and users have in the long run on a farm of a thousand slots, beside their shares.

Demand is without end, the lengths of jobs are drawn, widths and lengths differ between groups, one group is a single
entity (JobSharing), and one stays away for ten days and comes back before it is measured.
groups_worst_percent: how far the group that is furthest from its share is from it. users_worst_percent: the same for the
users inside a group, who shall have equal parts.
"""

from __future__ import annotations

from tests.bench.report import tell
from tests.schemas.rules.farm import DAY_S, Farm, Group, groups_worst_percent, percents, users_worst_percent

SLOTS = 1000
RETURNED_DAY, SETTLED_DAY, LAST_DAY = 11, 14, 34
WIDE = 50
SHARES = (250, 500, 1000, 1000, 1500, 2000, 3000, 5000)
MEANS_S = (7200.0, 21_600.0, 3600.0, 14_400.0)
GOALS = {"groups_worst_percent": "≤ 5", "users_worst_percent": "≤ 5"}


def groups() -> dict[str, Group]:
    """Eight groups of one to eight users, the fifth a single entity, the sixth away at first."""
    return {
        f"group{number}": Group(
            share=share,
            users=tuple(f"user{each}" for each in range(number)),
            mean_s=MEANS_S[number % 4],
            processors=(1, 2, 8)[number % 3],
            sharing=number == 5,
            away=(DAY_S, RETURNED_DAY * DAY_S) if number == 6 else (0.0, 0.0),
        )
        for number, share in enumerate(SHARES, 1)
    }


def bar(percent: float, wanted: float, full: float) -> str:
    """As much as was had, and a line where the share ends."""
    letters = list("█" * round(percent / full * WIDE) + "·" * (WIDE - round(percent / full * WIDE)))
    letters.insert(round(wanted / full * WIDE), "|")
    return "".join(letters)


def plot(farm: Farm, had: dict[str, float]) -> None:
    """A line a group."""
    whole = sum(SHARES)
    full = max([*had.values(), 100 * max(SHARES) / whole])
    print(f"{'group':8} {'users':>5} {'width':>5} {'mean h':>6} {'share %':>7} {'had %':>7}")
    for name, group in farm.groups.items():
        wanted = 100 * group.share / whole
        about = f"{name:8} {len(group.users):5} {group.processors:5} {group.mean_s / 3600:6.0f} {wanted:7.2f} {had[name]:7.2f}"
        print(about, bar(had[name], wanted, full))


def history(farm: Farm, days: range) -> dict[str, list[float]]:
    """The part of each group, day by day."""
    found: dict[str, list[float]] = {name: [] for name in farm.groups}
    since = farm.core_s()
    for day in days:
        farm.run(day * DAY_S)
        for name, percent in percents(farm, since).items():
            found[name].append(percent)
        since = farm.core_s()
    return found


def main() -> None:
    farm = Farm(groups(), SLOTS, seed=1).run(RETURNED_DAY * DAY_S - 1)
    came_back = history(farm, range(RETURNED_DAY + 1, SETTLED_DAY + 1))["group6"]
    since = farm.core_s()
    farm.run(LAST_DAY * DAY_S)
    plot(farm, percents(farm, since))
    wanted = 100 * SHARES[5] / sum(SHARES)
    days = ", ".join(f"{percent:.1f} %" for percent in came_back)
    print(f"group6 came back after ten days: {days} of all on its first days, where {wanted:.1f} % is its share")
    figures = {
        "groups_worst_percent": groups_worst_percent(farm, since),
        "users_worst_percent": users_worst_percent(farm, since),
    }
    tell("shares", figures, GOALS, {})


if __name__ == "__main__":
    main()
