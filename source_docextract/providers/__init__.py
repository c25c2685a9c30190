"""One folder per API: how to discover, ask and read it. Nothing else knows its JSON.

A provider does no I/O. What it wants to know it writes as a script: a generator that yields requests and is sent their
answers, so that the engine may run them side by side, space and retry them, and tests may play the provider.
"""
