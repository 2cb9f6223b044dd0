"""Run folders for the tests."""

from tests.run_folders import run_folder, run_info, run_maker

__all__ = ["run_folder", "run_info", "run_maker"]
