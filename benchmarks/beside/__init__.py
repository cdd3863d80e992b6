"""Ours beside Kubernetes' own, in one table: the same work on both sides, in turns, and what was aimed at.

_line       a line of the table: samples, goals, ratios, verdicts: pure
_jobs       what is run, and which lines it fills
_machine    where and with what it was run
_report     the table on a terminal; raw runs as JSON
_page       docs/performance.md
_plots      the door to matplotlib
_limits     what holds back a line that has not reached its goal

python -m benchmarks --only peers            the table
python -m benchmarks.beside FILE             docs/performance.md from the raw runs of a whole one
"""
