"""Ids that settings name: what `check` finds out about those that their provider does not know."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from .core.errors import ConfigError, UnknownTemplate, UnreadableResponse
from .core.model import PartitionRef, PartitionStatus
from .core.provider import ProviderSpec, RequestFlow, StreamGroup
from .core.redaction import sanitize
from .core.validation import parse_partition_refs
from .settings import Settings
from .sync.reporting import build_unknown_account_message

MAX_CHECKED_BATCHES = 10
"""Named batches of a provider that `check` asks for at most: Extracta.ai wants 2 seconds between requests."""


class IdKind(NamedTuple):
    """What an id is of. Ids of one kind may stand in several settings."""

    product: str
    level: str  # template or batch


_ID_FORMATS: Mapping[str, tuple[str, str]] = {
    r"BATCH-\d+-[A-Z0-9]+-\d{14}": ("atlas", "the id of an Atlas batch"),
    r"-[0-9A-Za-z_-]{19}": ("extracta", "the id of an Extracta.ai template"),
    r"extract_\w+": ("docmap", "the id of a DocMap extraction"),
    r"tmpl_\w+": ("docmap", "the id of a DocMap template"),
}
"""Forms that only one provider's ids have, by the examples in its documentation."""

IdMentions = Mapping[str, Mapping[IdKind, str]]
"""By id, the kinds of id that it is named as, with the setting that does."""


def collect_mentions(settings: Settings) -> IdMentions:
    """Return which settings name which ids."""
    settings_by_id: defaultdict[str, dict[IdKind, str]] = defaultdict(dict)

    def add_mentions(ids: Iterable[str | None], product: str, level: str, setting: str) -> None:
        for mentioned_id in filter(None, ids):
            settings_by_id[mentioned_id].setdefault(IdKind(product, level), setting)

    if extracta := settings.extracta:
        add_mentions(extracta.extraction_ids, "extracta", "template", "extracta.extraction_ids")
        add_mentions(extracta.classification_ids, "extracta_classification", "template", "extracta.classification_ids")
        for product, paths, setting in (
            ("extracta", extracta.extraction_batches, "extracta.extraction_batches"),
            ("extracta_classification", extracta.classification_batches, "extracta.classification_batches"),
        ):
            add_mentions((ref.template_id for ref in parse_partition_refs(paths)), product, "template", setting)
            add_mentions((ref.batch_id for ref in parse_partition_refs(paths)), product, "batch", setting)
    if settings.docmap:
        add_mentions(settings.docmap.template_ids, "docmap", "template", "docmap.template_ids")
    if settings.sensible:
        add_mentions(settings.sensible.batch_ids, "sensible_batches", "batch", "sensible.batch_ids")
    if settings.atlas:
        add_mentions(settings.atlas.batch_ids, "atlas", "batch", "atlas.batch_ids")
    return settings_by_id


def build_hint(id_text: str, kind: IdKind, mentions: IdMentions) -> str:
    """Return in a sentence of which other kind an id looks, and which setting names it as such; empty if none."""
    lookalikes = [
        description
        for pattern, (provider, description) in _ID_FORMATS.items()
        if re.fullmatch(pattern, id_text) and not _is_product_of(kind.product, provider)
    ]
    settings = [setting for other_kind, setting in mentions.get(id_text, {}).items() if other_kind != kind]
    facts = [f"looks like {lookalikes[0]}"] if lookalikes else []
    facts += [f"is also named in {' and '.join(dict.fromkeys(settings))}"] if settings else []
    return f"It {' and '.join(facts)}." if facts else ""


def _is_product_of(product: str, provider: str) -> bool:
    return product.split("_", maxsplit=1)[0] == provider


def check_named_ids(provider_spec: ProviderSpec, mentions: IdMentions) -> RequestFlow[None]:
    """Prove the credentials and the templates, then ask for named batches until the provider knows one.

    Raises:
        ConfigError: where the provider does not know a template, a batch that looks like another kind of id, or any of
            the batches that were asked for.
    """
    try:
        yield from provider_spec.check()
    except UnknownTemplate as error:
        message = f"{error} {build_hint(error.template_id, IdKind(error.product, 'template'), mentions)}"
        raise ConfigError(message.strip()) from None
    suspicious_refs = [
        (group, ref)
        for group in provider_spec.stream_groups
        for ref in group.explicit_partitions
        if _build_batch_hint(group, ref, mentions)
    ]
    problems = []
    for group, ref in suspicious_refs[:MAX_CHECKED_BATCHES]:
        if not (yield from _knows_batch(group, ref)):
            setting = " or ".join(group.explicit_settings)
            message = f"{provider_spec.error_format.provider_name} does not know batch {sanitize(str(ref.key))}."
            problems.append(f"{message} {_build_batch_hint(group, ref, mentions)} Correct {setting}.")
    if not problems and (yield from _knows_no_batch(provider_spec)):
        problems.append(build_unknown_account_message(provider_spec))
    if problems:
        raise ConfigError(" ".join(problems))


def _build_batch_hint(group: StreamGroup, ref: PartitionRef, mentions: IdMentions) -> str:
    batch_hint = build_hint(ref.batch_id, IdKind(group.name, "batch"), mentions)
    return batch_hint or build_hint(ref.template_id or "", IdKind(group.name, "template"), mentions)


def _knows_no_batch(provider_spec: ProviderSpec) -> RequestFlow[bool]:
    """Return whether the provider knows none of the named batches; the latest are asked for first."""
    refs = [(group, ref) for group in provider_spec.stream_groups for ref in group.explicit_partitions]
    for group, ref in _pick_sample(refs):
        if (yield from _knows_batch(group, ref)):
            return False
    return bool(refs)


def _pick_sample(refs: Sequence[tuple[StreamGroup, PartitionRef]]) -> list[tuple[StreamGroup, PartitionRef]]:
    """Return the last ones, and others from all over the list: what a retention has deleted are the first ones."""
    latest, earlier = refs[::-1][: MAX_CHECKED_BATCHES // 2], refs[::-1][MAX_CHECKED_BATCHES // 2 :]
    step = max(1, -(-len(earlier) // (MAX_CHECKED_BATCHES - len(latest) or 1)))
    return [*latest, *earlier[::step]]


def _knows_batch(group: StreamGroup, ref: PartitionRef) -> RequestFlow[bool]:
    try:
        if group.batch_exists:
            return (yield from group.batch_exists(ref))
        snapshot = yield from group.fetch(ref)
    except UnreadableResponse:
        return True  # an answer that cannot be read is an answer about it
    return snapshot.status is not PartitionStatus.MISSING
