"""Ids that settings name: what `check` finds out about those that their provider does not know."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from .config import Settings
from .errors import BadAnswer, ConfigError, UnknownTemplate
from .model import BatchRef, BatchStatus
from .plain import plain
from .providers.base import Plan, Product, Script
from .values import batch_refs

MOST_ASKED = 10
"""Named batches of a provider that `check` asks for at most: Extracta.ai wants 2 seconds between requests."""


class Kind(NamedTuple):
    """What an id is of. Ids of one kind may stand in several settings."""

    product: str
    noun: str  # template or batch


_FORMS: Mapping[str, tuple[str, str]] = {
    r"BATCH-\d+-[A-Z0-9]+-\d{14}": ("atlas", "the id of a batch of Atlas"),
    r"-[0-9A-Za-z_-]{19}": ("extracta", "the id of a template of Extracta.ai"),
    r"extract_\w+": ("docmap", "the id of an extraction of DocMap"),
    r"tmpl_\w+": ("docmap", "the id of a template of DocMap"),
}
"""Forms that only one provider's ids have, by the examples in its documentation."""

Mentions = Mapping[str, Mapping[Kind, str]]
"""By id, the kinds of id that it is named as, with the setting that does."""


def mentions(settings: Settings) -> Mentions:
    """Return which settings name which ids."""
    found: defaultdict[str, dict[Kind, str]] = defaultdict(dict)

    def name(ids: Iterable[str | None], product: str, noun: str, setting: str) -> None:
        for one in filter(None, ids):
            found[one].setdefault(Kind(product, noun), setting)

    if extracta := settings.extracta:
        name(extracta.extraction_ids, "extracta", "template", "extracta.extraction_ids")
        name(extracta.classification_ids, "extracta_classification", "template", "extracta.classification_ids")
        for product, paths, setting in (
            ("extracta", extracta.extraction_batches, "extracta.extraction_batches"),
            ("extracta_classification", extracta.classification_batches, "extracta.classification_batches"),
        ):
            name((ref.template_id for ref in batch_refs(paths)), product, "template", setting)
            name((ref.batch_id for ref in batch_refs(paths)), product, "batch", setting)
    if settings.docmap:
        name(settings.docmap.template_ids, "docmap", "template", "docmap.template_ids")
    if settings.sensible:
        name(settings.sensible.batch_ids, "sensible_batches", "batch", "sensible.batch_ids")
    if settings.atlas:
        name(settings.atlas.batch_ids, "atlas", "batch", "atlas.batch_ids")
    return found


def hint(one: str, kind: Kind, named: Mentions) -> str:
    """Return in a sentence of which other kind an id looks, and which setting names it as such; empty if none."""
    looks = [
        noun for form, (host, noun) in _FORMS.items() if re.fullmatch(form, one) and not _is_of(kind.product, host)
    ]
    settings = [setting for other, setting in named.get(one, {}).items() if other != kind]
    facts = [f"looks like {looks[0]}"] if looks else []
    facts += [f"is named in {' and '.join(dict.fromkeys(settings))}, too"] if settings else []
    return f"It {' and '.join(facts)}." if facts else ""


def _is_of(product: str, host: str) -> bool:
    return product.split("_", maxsplit=1)[0] == host


def checked(plan: Plan, named: Mentions) -> Script[None]:
    """Prove the credentials and the templates, then ask for named batches until the provider knows one.

    Raises:
        ConfigError: where the provider does not know a template, a batch that looks like another kind of id, or any of
            the batches that were asked for.
    """
    try:
        yield from plan.check()
    except UnknownTemplate as trouble:
        words = f"{trouble} {hint(trouble.template_id, Kind(trouble.product, 'template'), named)}"
        raise ConfigError(words.strip()) from None
    odd = [(product, ref) for product in plan.products for ref in product.named if _hint_of(product, ref, named)]
    troubles = []
    for product, ref in odd[:MOST_ASKED]:
        if not (yield from _knows(product, ref)):
            setting = " or ".join(product.named_by)
            words = f"{plan.dialect.name} does not know batch {plain(str(ref.key))}. {_hint_of(product, ref, named)}"
            troubles.append(f"{words} Correct {setting}.")
    if not troubles and (yield from _knows_none(plan)):
        troubles.append(unknown_to_account(plan))
    if troubles:
        raise ConfigError(" ".join(troubles))


def _hint_of(product: Product, ref: BatchRef, named: Mentions) -> str:
    by_batch = hint(ref.batch_id, Kind(product.name, "batch"), named)
    return by_batch or hint(ref.template_id or "", Kind(product.name, "template"), named)


def _knows_none(plan: Plan) -> Script[bool]:
    """Return whether the provider knows none of the named batches; the latest are asked for first."""
    refs = [(product, ref) for product in plan.products for ref in product.named]
    for product, ref in _some(refs):
        if (yield from _knows(product, ref)):
            return False
    return bool(refs)


def _some(refs: Sequence[tuple[Product, BatchRef]]) -> list[tuple[Product, BatchRef]]:
    """Return the last ones, and others from all over the list: what a retention has deleted are the first ones."""
    last, rest = refs[::-1][: MOST_ASKED // 2], refs[::-1][MOST_ASKED // 2 :]
    step = max(1, -(-len(rest) // (MOST_ASKED - len(last) or 1)))
    return [*last, *rest[::step]]


def _knows(product: Product, ref: BatchRef) -> Script[bool]:
    try:
        if product.knows:
            return (yield from product.knows(ref))
        snapshot = yield from product.fetch(ref)
    except BadAnswer:
        return True  # an answer that cannot be read is an answer about it
    return snapshot.status is not BatchStatus.MISSING


def unknown_to_account(plan: Plan) -> str:
    """Return what to say where all named batches are unknown."""
    settings = " or ".join(dict.fromkeys(setting for product in plan.products for setting in product.named_by))
    keys = plan.dialect.credentials
    words = f"{plan.dialect.name} knows none of the batches that are named. Correct {settings}, or {keys}"
    return f"{words}, which may belong to another account."
