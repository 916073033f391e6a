"""What the course builds: a client for four providers, and what makes it reliable and cheap.

Each name is loaded at its first use, so that importing the package costs next to nothing.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from course_utils.llm.async_client import AsyncLLMClient
    from course_utils.llm.batch import arun_batch, run_batch
    from course_utils.llm.batch_job import BatchItem, BatchReport
    from course_utils.llm.bootstrap import Interval, bootstrap_interval
    from course_utils.llm.breaker import AsyncBreakerChat, BreakerChat, CircuitBreaker
    from course_utils.llm.budget import TokenBudget
    from course_utils.llm.cache import (
        AnswerCache,
        AsyncCachedChat,
        CachedChat,
        CachedResult,
        CacheStats,
    )
    from course_utils.llm.chat import AsyncChat, Chat, Messages
    from course_utils.llm.client import LLMClient
    from course_utils.llm.clock import Clock, SystemClock, VirtualClock
    from course_utils.llm.comparing import ABResult, compare_models
    from course_utils.llm.comparison import Comparison, compare_costs
    from course_utils.llm.costs import Cost, cost_of, cost_usd, estimate_cost
    from course_utils.llm.fallback import (
        AsyncFallback,
        Fallback,
        FallbackResult,
        chat_with_fallback,
        chat_with_fallback_async,
        stream_with_fallback,
    )
    from course_utils.llm.flaky import FlakyAPI, RetrySummary, summarise
    from course_utils.llm.guard import AsyncBudgetGuard, BudgetGuard
    from course_utils.llm.limiter import Permit, RateLimiter
    from course_utils.llm.machine import BreakEven, Machine, break_even
    from course_utils.llm.provider_batch import collect_batch, submit_batch
    from course_utils.llm.result import ChatResult
    from course_utils.llm.retry import (
        Retried,
        RetryReport,
        RetryRules,
        acall_with_retry,
        call_with_retry,
        report_of,
    )
    from course_utils.llm.retrying import AsyncRetryingChat, RetryingChat
    from course_utils.llm.router import Route, RoutedClient, RoutedResult, route
    from course_utils.llm.scenarios import SCENARIOS, Scenario, scenario_costs
    from course_utils.llm.similar import SimilarIndex
    from course_utils.llm.spending import Spending
    from course_utils.llm.stores import MemoryStore, SQLiteStore
    from course_utils.llm.structured import ask_for, ask_for_async, json_schema, parse
    from course_utils.llm.summary import summarise_oldest
    from course_utils.llm.tokens import Estimate, count_message_tokens, count_tokens
    from course_utils.llm.tool_loop import ToolAnswer, ToolRound, run_tools, run_tools_async
    from course_utils.llm.toolbox import Toolbox, ToolRun
    from course_utils.llm.tools import as_tool
    from course_utils.llm.transient import is_retryable
    from course_utils.llm.trimming import sliding_window, trim_to_fit

# Public name to the module that holds it, sorted.
_HOMES = {
    "SCENARIOS": "scenarios",
    "ABResult": "comparing",
    "AnswerCache": "cache",
    "AsyncBreakerChat": "breaker",
    "AsyncBudgetGuard": "guard",
    "AsyncCachedChat": "cache",
    "AsyncChat": "chat",
    "AsyncFallback": "fallback",
    "AsyncLLMClient": "async_client",
    "AsyncRetryingChat": "retrying",
    "AsyncRoutedClient": "router",
    "BatchItem": "batch_job",
    "BatchReport": "batch_job",
    "BreakEven": "machine",
    "BreakerChat": "breaker",
    "BudgetGuard": "guard",
    "CacheStats": "cache",
    "CachedChat": "cache",
    "CachedResult": "cache",
    "Chat": "chat",
    "ChatResult": "result",
    "CircuitBreaker": "breaker",
    "Clock": "clock",
    "Comparison": "comparison",
    "Cost": "costs",
    "Estimate": "tokens",
    "Fallback": "fallback",
    "FallbackResult": "fallback",
    "FlakyAPI": "flaky",
    "Interval": "bootstrap",
    "LLMClient": "client",
    "Machine": "machine",
    "MemoryStore": "stores",
    "Messages": "chat",
    "Permit": "limiter",
    "RateLimiter": "limiter",
    "Retried": "retry",
    "RetryReport": "retry",
    "RetryRules": "retry",
    "RetrySummary": "flaky",
    "Route": "router",
    "RoutedClient": "router",
    "RoutedResult": "router",
    "SQLiteStore": "stores",
    "Scenario": "scenarios",
    "SimilarIndex": "similar",
    "Spending": "spending",
    "SystemClock": "clock",
    "TokenBudget": "budget",
    "ToolAnswer": "tool_loop",
    "ToolRound": "tool_loop",
    "ToolRun": "toolbox",
    "Toolbox": "toolbox",
    "VirtualClock": "clock",
    "RetryingChat": "retrying",
    "acall_with_retry": "retry",
    "arun_batch": "batch",
    "as_tool": "tools",
    "ask_for": "structured",
    "ask_for_async": "structured",
    "bootstrap_interval": "bootstrap",
    "break_even": "machine",
    "call_with_retry": "retry",
    "chat_with_fallback": "fallback",
    "chat_with_fallback_async": "fallback",
    "collect_batch": "provider_batch",
    "compare_costs": "comparison",
    "compare_models": "comparing",
    "cost_of": "costs",
    "cost_usd": "costs",
    "count_message_tokens": "tokens",
    "count_tokens": "tokens",
    "estimate_cost": "costs",
    "is_retryable": "transient",
    "json_schema": "structured",
    "parse": "structured",
    "report_of": "retry",
    "route": "router",
    "run_batch": "batch",
    "run_tools": "tool_loop",
    "run_tools_async": "tool_loop",
    "scenario_costs": "scenarios",
    "sliding_window": "trimming",
    "stream_with_fallback": "fallback",
    "submit_batch": "provider_batch",
    "summarise": "flaky",
    "summarise_oldest": "summary",
    "trim_to_fit": "trimming",
}

__all__ = [
    "SCENARIOS",
    "ABResult",
    "AnswerCache",
    "AsyncBreakerChat",
    "AsyncBudgetGuard",
    "AsyncCachedChat",
    "AsyncChat",
    "AsyncFallback",
    "AsyncLLMClient",
    "AsyncRetryingChat",
    "AsyncRoutedClient",
    "BatchItem",
    "BatchReport",
    "BreakEven",
    "BreakerChat",
    "BudgetGuard",
    "CacheStats",
    "CachedChat",
    "CachedResult",
    "Chat",
    "ChatResult",
    "CircuitBreaker",
    "Clock",
    "Comparison",
    "Cost",
    "Estimate",
    "Fallback",
    "FallbackResult",
    "FlakyAPI",
    "Interval",
    "LLMClient",
    "Machine",
    "MemoryStore",
    "Messages",
    "Permit",
    "RateLimiter",
    "Retried",
    "RetryReport",
    "RetryRules",
    "RetrySummary",
    "RetryingChat",
    "Route",
    "RoutedClient",
    "RoutedResult",
    "SQLiteStore",
    "Scenario",
    "SimilarIndex",
    "Spending",
    "SystemClock",
    "TokenBudget",
    "ToolAnswer",
    "ToolRound",
    "ToolRun",
    "Toolbox",
    "VirtualClock",
    "acall_with_retry",
    "arun_batch",
    "as_tool",
    "ask_for",
    "ask_for_async",
    "bootstrap_interval",
    "break_even",
    "call_with_retry",
    "chat_with_fallback",
    "chat_with_fallback_async",
    "collect_batch",
    "compare_costs",
    "compare_models",
    "cost_of",
    "cost_usd",
    "count_message_tokens",
    "count_tokens",
    "estimate_cost",
    "is_retryable",
    "json_schema",
    "parse",
    "report_of",
    "route",
    "run_batch",
    "run_tools",
    "run_tools_async",
    "scenario_costs",
    "sliding_window",
    "stream_with_fallback",
    "submit_batch",
    "summarise",
    "summarise_oldest",
    "trim_to_fit",
]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'course_utils.llm' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"course_utils.llm.{_HOMES[name]}"), name)
