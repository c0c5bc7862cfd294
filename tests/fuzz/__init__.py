"""Damaged files, and who judges what is read from them.

Every exposure and every reference from a damaged file is what astropy, or asdf, reads from the same bytes, or the file
is refused in one line. ``python -m tests.fuzz`` tries as many mutants as wanted; some are tried in every test run.
"""
