"""Fuzz targets: coverage-guided attacks (atheris, libFuzzer) on everything that reads bytes from outside.

Here live the targets, one a file in targets/, each with invariants beyond "it does not crash"; their corpora, made by
tests/fuzz/seeds from real values; and the command `python -m tests.fuzz TARGET [libFuzzer's options]`. Not here: plays
against real processes (tests/faults/test_hostile_content).
"""
