"""The ids that the settings name, and the checks on unknown ones."""

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
"""The limit on the batches that `check` fetches from a provider: Extracta.ai requires 2 seconds between requests."""


class IdKind(NamedTuple):
    """The kind of an id. Several settings may name ids of one kind.

    Attributes:
        product: the product whose template or batch the id belongs to.
        level: `template` or `batch`.
    """

    product: str
    level: str


# Sensible's ids are UUIDs, and so are the run ids in DocMap's examples; Extracta's batch ids have no fixed length. A
# match with one of these formats would prove nothing.
_ID_FORMATS: Mapping[str, tuple[str, str]] = {
    r"BATCH-\d+-[A-Z0-9]+-\d{14}": ("atlas", "the id of an Atlas batch"),
    r"-[0-9A-Za-z_-]{19}": ("extracta", "the id of an Extracta.ai template"),
    r"extract_\w+": ("docmap", "the id of a DocMap extraction"),
    r"tmpl_\w+": ("docmap", "the id of a DocMap template"),
}
"""Id formats that only one provider has, judged by the examples in its documentation."""

IdMentions = Mapping[str, Mapping[IdKind, str]]
"""By id: each kind as which the settings name it, with the setting that does."""


def collect_mentions(settings: Settings) -> IdMentions:
    """Return all ids that the settings name."""
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
    """Return a sentence about the other kind that an unknown id may be of.

    It is empty if nothing suggests another kind.

    An id that was pasted into the wrong setting has the format of another provider's ids, or another setting names it
    too.

    Args:
        id_text: the id.
        kind: the kind as which the settings name it.
        mentions: all ids that the settings name.
    """
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
    """Check the credentials, the templates and a sample of the named batches.

    Batches are fetched until the provider knows one.

    A single unknown batch is no error: it may have been deleted upstream. If the provider knows none of them, the key
    probably belongs to another account.

    Raises:
        ConfigError: if the provider does not know a template, a batch whose id looks like another kind of id, or any of
            the fetched batches.
    """
    try:
        yield from provider_spec.check()
    except UnknownTemplate as error:
        message = f"{error} {build_hint(error.template_id, IdKind(error.product, 'template'), mentions)}"
        raise ConfigError(message.strip()) from None
    # Each of these costs a request (on Extracta 2 seconds), so only ids that look misplaced are fetched one by one.
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
    """Return whether the provider knows none of a sample of the named batches.

    It is False if no batch is named.
    """
    refs = [(group, ref) for group in provider_spec.stream_groups for ref in group.explicit_partitions]
    for group, ref in _pick_sample(refs):
        if (yield from _knows_batch(group, ref)):
            return False
    return bool(refs)


def _pick_sample(refs: Sequence[tuple[StreamGroup, PartitionRef]]) -> list[tuple[StreamGroup, PartitionRef]]:
    """Return the last batches of the list, and others spread over the rest of it.

    The first ones are the oldest. A provider's retention may have deleted them, so they prove little.
    """
    latest, earlier = refs[::-1][: MAX_CHECKED_BATCHES // 2], refs[::-1][MAX_CHECKED_BATCHES // 2 :]
    step = max(1, -(-len(earlier) // (MAX_CHECKED_BATCHES - len(latest) or 1)))
    return [*latest, *earlier[::step]]


def _knows_batch(group: StreamGroup, ref: PartitionRef) -> RequestFlow[bool]:
    try:
        if group.batch_exists:
            return (yield from group.batch_exists(ref))
        snapshot = yield from group.fetch(ref)
    except UnreadableResponse:
        return True  # the provider answered about this batch, so it knows the id
    return snapshot.status is not PartitionStatus.MISSING
