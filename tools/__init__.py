"""Tools for maintainers: releases (`python -m tools.release --help`) and the documentation's site."""
