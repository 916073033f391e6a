"""When a computer of your own is cheaper than a provider."""

from __future__ import annotations

from dataclasses import dataclass

from course_utils.llm.errors import SettingError
from course_utils.llm.scenarios import Scenario, ScenarioCost

_SECONDS_PER_HOUR = 3_600
_HOURS_PER_DAY = 24
_WATTS_PER_KILOWATT = 1_000


@dataclass(frozen=True, slots=True)
class Machine:
    """A computer that runs an open model.

    Attributes:
        price_usd: what it costs to buy.
        watts: its power while it answers.
        usd_per_kwh: the price of a kilowatt-hour.
        read_tokens_per_s: how fast it reads a prompt.
        write_tokens_per_s: how fast it writes an answer, all its calls together.
    """

    price_usd: float
    watts: float
    usd_per_kwh: float
    read_tokens_per_s: float
    write_tokens_per_s: float

    def __post_init__(self) -> None:
        if min(self.price_usd, self.watts, self.usd_per_kwh) < 0:
            raise SettingError("A machine's price, watts and price of power are 0 or more.")
        if min(self.read_tokens_per_s, self.write_tokens_per_s) <= 0:
            raise SettingError("A machine reads and writes at least some tokens a second.")


@dataclass(frozen=True, slots=True)
class BreakEven:
    """How a machine compares with a provider on one scenario.

    Attributes:
        busy_hours_per_day: how long it works; more than 24 means that it cannot keep up.
        power_usd_per_day: what its electricity costs.
        api_usd_per_day: what the provider would take.
        days: after how many days it has paid for itself; None where it never does.
    """

    busy_hours_per_day: float
    power_usd_per_day: float
    api_usd_per_day: float
    days: float | None


def break_even(machine: Machine, scenario: Scenario, api: ScenarioCost) -> BreakEven:
    """Compare a machine with the same scenario at a provider, as `scenario_costs` prices it.

    Only buying and electricity are counted: not the work of running it, nor that its open model
    may answer less well. A machine that cannot do a day's calls in a day never breaks even.
    """
    seconds_per_call = (
        scenario.prompt_tokens / machine.read_tokens_per_s
        + scenario.completion_tokens / machine.write_tokens_per_s
    )
    hours = scenario.calls_per_day * seconds_per_call / _SECONDS_PER_HOUR
    power_usd = hours * machine.watts / _WATTS_PER_KILOWATT * machine.usd_per_kwh
    saved_usd = api.daily_usd - power_usd
    possible = hours <= _HOURS_PER_DAY and saved_usd > 0
    return BreakEven(
        busy_hours_per_day=hours,
        power_usd_per_day=power_usd,
        api_usd_per_day=api.daily_usd,
        days=machine.price_usd / saved_usd if possible else None,
    )
