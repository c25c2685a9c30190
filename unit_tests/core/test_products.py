"""Every product of the one table is in every proof: a product that is forgotten in one of them fails here."""

from __future__ import annotations

from itertools import chain
from pathlib import Path

import yaml

from docextract_sandbox import Sandbox
from source_docextract.core.products import PRODUCT_NAMES, PRODUCTS, PROVIDERS, STANDARD_STREAMS, STREAM_KINDS, Product
from source_docextract.probe.probes import PROBES
from source_docextract.provider_specs import WRAPPER_FORMATS
from source_docextract.settings import REQUIREMENTS_BY_PROVIDER, Settings
from source_docextract.spec import build_connection_spec
from unit_tests.support.accounts import ACCOUNTS
from unit_tests.support.cases import each_case
from unit_tests.support.fault_matrix import PRODUCTS_BY_ENDPOINT
from unit_tests.support.leaf_cases import WRAPPER_MARKERS
from unit_tests.support.reader_cases import NAMES as READER_NAMES
from unit_tests.support.reader_cases import build_readers

ROOT = Path(__file__).parents[2]
RECIPES = sorted((ROOT / "recipes").glob("*.sql"))

each_product = each_case("product", PRODUCTS, ids=lambda product: product.name)
each_provider = each_case("provider", PROVIDERS)


def test_products_names_and_titles_are_unique() -> None:
    assert len({product.name for product in PRODUCTS}) == len({product.title for product in PRODUCTS}) == len(PRODUCTS)
    assert len(STANDARD_STREAMS) == len(PRODUCTS) * len(STREAM_KINDS)


@each_product
def test_product_is_in_the_schedules(product: Product) -> None:
    assert product.name in {account.product for account in ACCOUNTS}


@each_product
def test_product_has_an_endpoint_in_the_fault_matrix(product: Product) -> None:
    assert product.name in set(chain.from_iterable(PRODUCTS_BY_ENDPOINT.values()))


@each_product
def test_product_has_its_reader_cases(product: Product) -> None:
    readers = build_readers()

    assert product.name in {readers[name].product.name for name in READER_NAMES}


@each_product
def test_product_with_wrappers_has_its_leaf_cases(product: Product) -> None:
    assert (WRAPPER_FORMATS[product.name].marker_key or None) == WRAPPER_MARKERS.get(product.name)


@each_product
@each_case("recipe", RECIPES, ids=lambda path: path.stem)
def test_product_is_in_each_recipe_over_all_products(product: Product, recipe: Path) -> None:
    text = recipe.read_text(encoding="utf-8")

    is_over_all = "UNION ALL" in text and "FROM extracta_files" in text
    is_compared = recipe.stem != "side_by_side" or product.typed_tables  # it compares what extracts fields
    assert f"FROM {product.name}_files" in text or not (is_over_all and is_compared)


@each_product
def test_product_is_in_the_docs(product: Product) -> None:
    pages = [page.read_text(encoding="utf-8") for page in (ROOT / "docs").glob("*.md")]

    assert any(f"`{product.name}_batches`" in page or f"`{product.name}_" in page for page in pages)


@each_provider
def test_provider_has_a_section_in_settings_spec_and_form(provider: str) -> None:
    assert provider in Settings.model_fields
    assert provider in REQUIREMENTS_BY_PROVIDER
    assert provider in build_connection_spec()["properties"]


@each_provider
def test_provider_has_a_folder_with_the_same_files_and_a_probe(provider: str) -> None:
    folder = ROOT / "source_docextract" / "providers" / provider

    assert {"settings.py", "provider.py", "reading.py", "templates.py", "probe.py"} <= {
        file.name for file in folder.iterdir()
    }
    assert provider in PROBES


@each_provider
def test_provider_is_in_the_sandbox_and_has_a_page_and_a_host(provider: str) -> None:
    hosts = yaml.safe_load((ROOT / "metadata.yaml").read_text(encoding="utf-8"))["data"]["allowedHosts"]["hosts"]

    assert (ROOT / "docextract_sandbox" / provider / "routes.py").exists() or provider == "extracta"
    assert provider in Sandbox().get_base_urls("http://127.0.0.1:1")
    assert any(provider in host or "helloatlas" in host for host in hosts)


@each_provider
def test_provider_has_its_own_test_files(provider: str) -> None:
    assert (ROOT / "unit_tests" / "providers" / f"test_{provider}.py").exists()
    assert (ROOT / "unit_tests" / "sync" / f"test_sync_{provider}.py").exists()


@each_product
def test_product_has_its_payload_faults_request_counts_and_guards(product: Product) -> None:
    folder = ROOT / "unit_tests" / "sync"
    texts = {
        name: (folder / f"test_{name}.py").read_text("utf-8") for name in ("payload_faults", "request_counts", "guards")
    }

    assert f'"{product.provider}.' in texts["payload_faults"]
    assert f'"{product.name}":' in texts["request_counts"]
    assert f"def fill_{product.provider}(" in texts["guards"]


@each_provider
def test_provider_is_in_the_issue_form(provider: str) -> None:
    form = yaml.safe_load((ROOT / ".github" / "ISSUE_TEMPLATE" / "assumption.yml").read_text(encoding="utf-8"))
    titles = {product.title for product in PRODUCTS if product.provider == provider}

    options = {option for field in form["body"] for option in field.get("attributes", {}).get("options", ())}
    assert titles & options


def test_table_is_the_one_place_of_the_order() -> None:
    assert tuple(REQUIREMENTS_BY_PROVIDER) == PROVIDERS
    assert tuple(WRAPPER_FORMATS) == PRODUCT_NAMES
