"""The catalogue of models and providers: ids, prices, limits, dates and quirks.

``models.toml`` and ``providers.toml`` beside this file hold the facts and explain every field; this
module only reads and finds them. Each is read at the first question, not at import.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any, Literal, TypeVar

from course_utils.errors import RetiredModelError, UnknownModelError, UnknownProviderError
from course_utils.wire.families import Families, Family

Tier = Literal["budget", "standard", "premium"]
MaxTokensParam = Literal["max_tokens", "max_completion_tokens"]
Sampling = Literal["yes", "no", "reasoning_none"]
AfterShutdown = Literal["refused", "routed"]

_MODELS_FILE = Path(__file__).with_name("models.toml")
_PROVIDERS_FILE = Path(__file__).with_name("providers.toml")

# How a provider marks a frozen version of a model: gpt-4o-2024-08-06, gpt-4-0613,
# claude-haiku-4-5-20251001, gemini-2.5-flash-001. Gemini's lists also put "models/" before an id.
_SNAPSHOT = re.compile(r"-(\d{4}-\d{2}-\d{2}|\d{8}|\d{4}|0\d{2})$")


@dataclass(frozen=True, slots=True)
class Band:
    """Prices in USD per million tokens of a request whose prompt exceeds ``above_tokens``.

    They hold for the whole request, not only for the tokens above the border.
    """

    above_tokens: int
    input: float
    output: float


@dataclass(frozen=True, slots=True)
class Price:
    """Prices in USD per million tokens; None where the provider has no such price.

    ``bands`` are sorted by ``above_tokens``, lowest first.
    """

    input: float
    output: float
    cached_input: float | None = None
    cache_write: float | None = None
    batch_input: float | None = None
    batch_output: float | None = None
    bands: tuple[Band, ...] = ()

    def in_batch(self) -> Price:
        """These prices in the provider's Batch API; the same where it has none.

        What a batch saves on input, it saves on the cache too, and in every band.
        """
        if self.batch_input is None or self.batch_output is None:
            return self
        share, share_out = self.batch_input / self.input, self.batch_output / self.output
        return Price(
            self.batch_input,
            self.batch_output,
            cached_input=None if self.cached_input is None else self.cached_input * share,
            cache_write=None if self.cache_write is None else self.cache_write * share,
            bands=tuple(
                Band(band.above_tokens, band.input * share, band.output * share_out)
                for band in self.bands
            ),
        )


@dataclass(frozen=True, slots=True)
class Model:
    """One model at one provider. The fields and their sources are explained in models.toml."""

    id: str
    provider: str
    tier: Tier
    price: Price
    context_tokens: int
    max_output_tokens: int
    reasoning: bool
    max_tokens_param: MaxTokensParam
    sampling: Sampling
    forced_tool_choice: bool
    assistant_prefill: bool
    after_shutdown: AfterShutdown
    as_of: date
    source: str = field(repr=False)
    encoding: str | None = None
    estimate_factor: float = 1.0
    shutdown: date | None = None
    successor: str | None = None
    note: str = ""

    def is_shut_down(self, on: date) -> bool:
        """Say whether the provider has stopped serving this model by the day ``on``."""
        return self.shutdown is not None and on >= self.shutdown


@dataclass(frozen=True, slots=True)
class RetiredModel:
    """A model that older tutorials name: gone, and without a price.

    ``shutdown`` is None where the day is not known.
    """

    id: str
    provider: str
    source: str = field(repr=False)
    shutdown: date | None = None
    successor: str | None = None


@dataclass(frozen=True, slots=True)
class EmbeddingModel:
    """A model that turns text into a vector of ``size`` numbers.

    Where ``fixed_size`` is true, the provider refuses to make shorter ones.
    """

    id: str
    provider: str
    size: int
    fixed_size: bool = False


@dataclass(frozen=True, slots=True)
class Provider:
    """Where a provider's public API is, and the course's model for each tier.

    Attributes:
        id: the key, such as ``"google"``.
        name: for people, such as ``"Google Gemini"``.
        base_url: the documented public address, as the official SDK takes it.
        default_models: tier to model id.
        openai_base_url: the OpenAI-compatible door, None where there is none.
        base_url_env, key_env: environment variables that the official SDK reads, None for none.
    """

    id: str
    name: str
    base_url: str
    default_models: Mapping[Tier, str] = field(hash=False)
    openai_base_url: str | None = None
    base_url_env: str | None = None
    key_env: str | None = None


def default_model(provider_id: str, tier: Tier = "standard") -> Model:
    """Return the course's model of ``tier`` at ``provider_id``.

    Raises:
        UnknownProviderError: the course cannot connect to such a provider.
        UnknownModelError: ``tier`` is not one of budget, standard, premium.
    """
    tiers = provider(provider_id).default_models
    if tier not in tiers:
        raise UnknownModelError.for_tier(tier, known=list(tiers))
    return find_model(tiers[tier], provider_id)


def find_model(model_id: str, provider_id: str | None = None) -> Model:
    """Find a model by its id or by a dated snapshot of it.

    A snapshot such as ``gpt-4o-2024-08-06`` gives its base model. An id that several hosts share
    gives the first in the file, unless ``provider_id`` names the host. A model that has a price
    is found after its shutdown too: ask ``is_shut_down``.

    Raises:
        RetiredModelError: a model that is gone and has no price any more.
        UnknownModelError: no such model; the message names the nearest ids.
        UnknownProviderError: the catalogue has no such provider.
    """
    living = models(provider_id)
    retired = [m for m in retired_models() if provider_id in (None, m.provider)]
    plain = model_id.removeprefix("models/")
    for name in (plain, _SNAPSHOT.sub("", plain)):
        # Retired first: gpt-4o-2024-05-13 ended before the gpt-4o that it is a snapshot of.
        if gone := _find(retired, name):
            raise _retired_error(model_id, gone)
        if found := _find(living, name):
            return found
    raise UnknownModelError(model_id, nearest=_nearest(plain, [m.id for m in living]))


def models(provider_id: str | None = None) -> tuple[Model, ...]:
    """Return all models, or those at one provider, in the order of the file.

    Raises:
        UnknownProviderError: the catalogue has no model at such a provider.
    """
    everything = _catalogue().models
    if provider_id is None:
        return everything
    found = tuple(m for m in everything if m.provider == provider_id)
    if not found:
        known = list(dict.fromkeys(m.provider for m in everything))
        raise UnknownProviderError(provider_id, known=known)
    return found


@functools.lru_cache(maxsize=256)
def family(model_id: str) -> Family:
    """Return what is known of a model's generation by its name alone, whether we know it or not."""
    return _catalogue().families.find(model_id)


def answering_name(model_id: str) -> str:
    """Return the name under which a model answers: the version behind a name that moves."""
    return _catalogue().snapshots.get(model_id, model_id)


def retired_models() -> tuple[RetiredModel, ...]:
    """Return the models that are gone and have no price any more, grouped by provider."""
    return _catalogue().retired


def embedding_models(provider_id: str) -> dict[str, EmbeddingModel]:
    """Return the embedding models at a provider, by id; empty where it has none."""
    return {m.id: m for m in _catalogue().embeddings if m.provider == provider_id}


def moderation_models() -> tuple[str, ...]:
    """Return the ids of OpenAI's moderation models, the alias first."""
    return _catalogue().moderation


def provider(provider_id: str) -> Provider:
    """Return a provider that the course can connect to.

    Raises:
        UnknownProviderError: there is no such provider; the message names those there are.
    """
    known = _providers()
    if provider_id not in known:
        raise UnknownProviderError(provider_id, known=list(known))
    return known[provider_id]


def providers() -> tuple[Provider, ...]:
    """Return the providers that the course can connect to."""
    return tuple(_providers().values())


@dataclass(frozen=True, slots=True)
class _Catalogue:
    models: tuple[Model, ...]
    families: Families
    snapshots: dict[str, str]
    retired: tuple[RetiredModel, ...]
    embeddings: tuple[EmbeddingModel, ...]
    moderation: tuple[str, ...]


@functools.cache
def _providers() -> dict[str, Provider]:
    return {key: Provider(id=key, **row) for key, row in _read(_PROVIDERS_FILE).items()}


@functools.cache
def _catalogue() -> _Catalogue:
    facts = _read(_MODELS_FILE)
    return _Catalogue(
        models=tuple(
            _model(model_id, host, {**facts["defaults"], **row})
            for host, rows in facts["models"].items()
            for model_id, row in rows.items()
        ),
        families=Families.read(facts["families"], facts["family"]),
        snapshots=facts["snapshots"],
        retired=tuple(
            RetiredModel(id=model_id, provider=host, **row)
            for host, rows in facts["retired"].items()
            for model_id, row in rows.items()
        ),
        embeddings=tuple(
            EmbeddingModel(id=model_id, provider=host, **row)
            for host, rows in facts["embeddings"].items()
            for model_id, row in rows.items()
        ),
        moderation=tuple(facts["moderation"]["openai"]),
    )


def _read(path: Path) -> dict[str, Any]:
    import tomllib

    with path.open("rb") as file:
        return tomllib.load(file)


def _model(model_id: str, host: str, row: dict[str, Any]) -> Model:
    batch = {f"batch_{kind}": usd for kind, usd in row.pop("batch", {}).items()}
    bands = tuple(Band(**band) for band in row.pop("bands", ()))
    price = Price(**row.pop("price"), **batch, bands=bands)
    return Model(id=model_id, provider=host, price=price, **row)


_Row = TypeVar("_Row", Model, RetiredModel)


def _find(rows: Sequence[_Row], model_id: str) -> _Row | None:
    return next((row for row in rows if row.id == model_id), None)


def _retired_error(model_id: str, gone: RetiredModel) -> RetiredModelError:
    current = provider(gone.provider).default_models["standard"]
    return RetiredModelError(model_id, gone.shutdown, gone.successor, current)


def _nearest(model_id: str, known: list[str]) -> list[str]:
    """The ids most like ``model_id``, whatever the case and with or without a ``vendor/``."""
    import difflib

    by_plain = {name.lower().rpartition("/")[2]: name for name in known}
    wanted = model_id.lower().rpartition("/")[2]
    return [by_plain[name] for name in difflib.get_close_matches(wanted, by_plain, n=3)]
