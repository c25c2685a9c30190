"""Tools for maintainers: releases and the documentation's site."""
