"""The products that the connector reads: the one table of them.

Each line names a family of streams. Settings, validation, the registry's file, the columns' descriptions and the report
derive from it. A product that is missing in one of the proofs fails a test (unit_tests/core/test_products.py).
"""

from __future__ import annotations

from typing import NamedTuple


class Product(NamedTuple):
    """One family of streams.

    Attributes:
        name: prefix of its streams, and the value of the column `provider`.
        title: its name for people.
        provider: the section of the settings that configures it.
        needs_template: whether its batches stand below a template, so that a registry has to name both.
        typed_tables: whether its provider has templates or document types that can have tables of their own.
    """

    name: str
    title: str
    provider: str
    needs_template: bool
    typed_tables: bool


# Extracta's result endpoints require the id of the template beside that of the batch; the other APIs look up a batch by
# its own id. Classification has no typed tables, because type and confidence are columns of its results already.
PRODUCTS = (
    Product("extracta", "Extracta.ai", "extracta", needs_template=True, typed_tables=True),
    Product(
        "extracta_classification", "Extracta.ai classification", "extracta", needs_template=True, typed_tables=False
    ),
    Product("docmap", "DocMap", "docmap", needs_template=False, typed_tables=True),
    Product("sensible", "Sensible", "sensible", needs_template=False, typed_tables=True),
    Product("atlas", "Atlas", "atlas", needs_template=False, typed_tables=True),
)

PRODUCT_NAMES = tuple(product.name for product in PRODUCTS)

PROVIDERS = tuple(dict.fromkeys(product.provider for product in PRODUCTS))
"""The sections of the settings that configure a provider, in the order of the form."""

TYPED_PROVIDERS = tuple(dict.fromkeys(product.provider for product in PRODUCTS if product.typed_tables))

NEEDS_TEMPLATE = {product.name: product.needs_template for product in PRODUCTS}
"""By the value of `provider` in a registry: whether its batches stand below templates."""

STREAM_KINDS = ("batches", "files", "results", "fields")

STANDARD_STREAMS = frozenset(f"{product}_{kind}" for product in PRODUCT_NAMES for kind in STREAM_KINDS)
"""The streams that exist without typed tables."""
