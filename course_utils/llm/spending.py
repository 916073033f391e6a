"""What may be spent, what has been, and what the calls under way may still cost."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from course_utils.llm.errors import AnswerError, BudgetExceededError, ProviderError, SettingError
from course_utils.llm.result import ChatResult


@dataclass(slots=True)
class Bill:
    """What one call takes: at first the most that it may, then what it has taken."""

    usd: float
    tokens: int

    def pay(self, result: ChatResult) -> None:
        """Replace the most by what the answer has cost, as far as the answer says."""
        if result.cost_usd is not None and result.usage.total_tokens:
            self.usd = result.cost_usd
        self.tokens = result.usage.total_tokens or self.tokens

    def fail(self, error: Exception) -> None:
        """A call that was refused costs nothing; one that was lost on the way may have cost all."""
        if isinstance(error, AnswerError):
            self.pay(error.result)
        elif not isinstance(error, ProviderError) or error.status is not None:
            self.usd, self.tokens = 0.0, 0


class Spending:
    """A limit in USD, in tokens, or both; several guards may share it, in several threads too.

    Raises SettingError where there is no limit, or a negative one.
    """

    def __init__(self, limit_usd: float | None = None, limit_tokens: int | None = None) -> None:
        if limit_usd is None and limit_tokens is None:
            raise SettingError("There is no limit: give limit_usd, limit_tokens or both.")
        for name, limit in (("limit_usd", limit_usd), ("limit_tokens", limit_tokens)):
            if limit is not None and not limit >= 0:
                raise SettingError(f"{name} is {limit}: give 0 or more.")
        self.limit_usd = limit_usd
        self.limit_tokens = limit_tokens
        self._spent = Bill(0.0, 0)
        self._open = Bill(0.0, 0)
        self._lock = threading.Lock()

    @property
    def spent_usd(self) -> float:
        """What the calls so far have cost."""
        return self._spent.usd

    @property
    def spent_tokens(self) -> int:
        """The tokens of the calls so far, in and out."""
        return self._spent.tokens

    @property
    def left_usd(self) -> float | None:
        """What a next call may cost at most; None without a limit in USD."""
        if self.limit_usd is None:
            return None
        return max(0.0, self.limit_usd - self._spent.usd - self._open.usd)

    @property
    def left_tokens(self) -> int | None:
        """How many tokens a next call may have at most; None without a limit in tokens."""
        if self.limit_tokens is None:
            return None
        return max(0, self.limit_tokens - self._spent.tokens - self._open.tokens)

    @contextmanager
    def call(self, usd: float, tokens: int) -> Iterator[Bill]:
        """Set aside what a call may take at most; afterwards what its bill says is spent.

        Raises BudgetExceededError, before anything is sent, where it could pass a limit.
        """
        with self._lock:
            self._refuse_beyond(usd, tokens)
            self._add(self._open, usd, tokens)
        bill = Bill(usd, tokens)
        try:
            yield bill
        except Exception as error:
            bill.fail(error)
            raise
        finally:
            with self._lock:
                self._add(self._open, -usd, -tokens)
                self._add(self._spent, bill.usd, bill.tokens)

    def _refuse_beyond(self, usd: float, tokens: int) -> None:
        left_usd, left_tokens = self.left_usd, self.left_tokens
        cure = "so it was not sent: ask for fewer max_tokens, shorten the prompt, or raise"
        if left_usd is not None and usd > left_usd:
            raise BudgetExceededError(
                f"This call could cost up to {usd:.6f} USD and only {left_usd:.6f} of the limit of "
                f"{self.limit_usd:.6f} USD is left, {cure} limit_usd."
            )
        if left_tokens is not None and tokens > left_tokens:
            raise BudgetExceededError(
                f"This call could have up to {tokens:,} tokens and only {left_tokens:,} of the "
                f"limit of {self.limit_tokens:,} are left, {cure} limit_tokens."
            )

    @staticmethod
    def _add(bill: Bill, usd: float, tokens: int) -> None:
        bill.usd += usd
        bill.tokens += tokens
