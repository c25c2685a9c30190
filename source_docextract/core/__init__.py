"""The parts that all wings share: the data model, contracts, errors and helpers.

They do no I/O and start no threads.
"""
