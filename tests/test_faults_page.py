"""Every row of the page on faults has its tests: of what happens, and of what is left."""

from __future__ import annotations

import re

import pytest

from tests.pages import ROOT

PAGE = ROOT / "docs" / "howto" / "when_things_go_wrong.md"
#: The beginning of each row, and where it is tested.
TESTS = {
    "input cut off or damaged": [
        "test_broken_files.py::test_truncated_anywhere",
        "test_damaged_files.py::test_a_damaged_end_of_a_header_is_an_error",
        "test_damaged_files.py::test_an_extension_that_does_not_begin_as_one_is_an_error",
        "test_batches.py::test_every_file_fails_for_itself",
    ],
    "input replaced or changed": [
        "test_damaged_files.py::test_a_file_that_was_changed_in_place_is_refused",
        "test_robustness.py::test_file_is_replaced",
        "test_robustness.py::test_file_is_truncated_during_the_fit",
    ],
    "no room on the disk": [
        "test_few_resources.py::test_on_a_full_disk",
        "test_few_resources.py::test_where_files_may_not_be_large",
        "test_few_resources.py::test_with_a_log_file_on_a_full_disk",
    ],
    "the product exists": [
        "test_cli.py::test_existing_products_are_kept_unless_asked",
        "test_few_resources.py::test_a_link_to_nothing_is_refused_before_the_fit",
    ],
    "a product, report, picture or table would": [
        "test_cli.py::test_no_input_is_overwritten_by_the_product_of_another",
        "test_batches.py::test_takes_no_products_place_whatever_it_is_called",
        "test_protected_inputs.py::test_of_a_report",
        "test_protected_inputs.py::test_of_a_picture",
        "test_protected_inputs.py::test_of_the_table",
    ],
    "an input or an output is a pipe": [
        "test_no_regular_files.py::test_no_command_waits_for_a_pipe",
        "test_no_regular_files.py::test_no_output_takes_the_place_of_a_pipe_or_a_device",
    ],
    "a product cannot be replaced": ["test_outputs.py::test_what_cannot_be_put_back_is_kept_and_named"],
    "names or headers with characters": ["test_texts_of_others.py::test_of_the_command"],
    "Ctrl-C (exit status 130), SIGTERM (143), a closed terminal (129)": [
        "test_cli.py::test_control_c_and_termination_end_everything",
        "test_cli.py::test_termination_while_writing_leaves_no_temporary_file",
        "test_batches.py::test_says_how_many_are_done_and_how_to_go_on",
    ],
    "Ctrl-C twice": ["test_cli.py::test_a_second_signal_does_not_keep_the_first_from_cleaning_up"],
    "a worker process is killed": [
        "test_worker_deaths.py::test_what_a_killed_worker_left_is_fitted_once_more",
        "test_worker_deaths.py::test_a_second_death_is_an_error_that_names_remedies_and_the_next_fit_works",
        "test_batches.py::test_a_killed_worker_costs_its_file_at_most",
    ],
    "the whole run is killed": [
        "test_temporary_files.py::test_what_a_killed_process_left_is_swept_by_the_next_run",
        "test_interrupted_jobs.py::test_what_a_killed_run_has_left_is_removed_and_completed",
        "test_interrupted_jobs.py::test_the_mark_of_a_killed_run_is_removed_by_the_next_one",
        "test_robustness.py::test_workers_end_with_a_killed_parent",
    ],
    "Ctrl-Z, then `fg`": ["test_faults_bench.py::test_signals_leave_nothing"],
    "somebody empties the temporary folder": [
        "test_batches.py::test_files_are_not_forgotten_where_somebody_empties_the_temporary_folder",
        "test_cluster.py::test_a_job_whose_mark_is_gone_says_so",
    ],
    "a worker of a Dask cluster is lost": [
        "test_cluster.py::test_one_worker_is_killed_and_the_products_are_those_of_this_process",
        "test_cluster.py::test_workers_that_die_while_they_are_asked_are_not_complained_of",
        "test_faults_bench.py::test_killed_workers_of_a_cluster_change_no_bit",
    ],
    "`/dev/shm` or the temporary folder": [
        "test_few_resources.py::test_without_dev_shm_threads_fit",
        "test_few_resources.py::test_without_temporary_files",
    ],
    "few descriptors": [
        "test_few_resources.py::test_few_descriptors_are_enough_for_a_fit",
        "test_few_resources.py::test_with_few_descriptors",
    ],
    "no more processes or threads": [
        "test_few_resources.py::test_where_no_process_and_no_thread_may_start_slices_are_fitted_one_after_another",
    ],
    "more results than memory": ["test_series_memory.py::test_peak_memory_is_bounded_by_the_budget"],
    "little address space": [
        "test_address_space.py::test_a_fit_in_little_address_space_is_one_error",
        "test_address_space.py::test_compilation_in_little_address_space_is_one_error",
    ],
    "the cache of machine code": [
        "test_machine_code.py::test_a_damaged_cache_gives_one_warning_and_the_right_fit",
        "test_machine_code.py::test_a_full_disk_costs_the_cache_not_the_fit",
        "test_machine_code.py::test_a_folder_of_another_user_is_not_used",
    ],
}


def test_every_row_has_tests():
    rows = re.findall(r"^\| (?!Fault|-)(.+?) \|", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert len(rows) == len(TESTS)
    for row, begins in zip(rows, TESTS, strict=True):
        assert row.startswith(begins)


@pytest.mark.parametrize("test", [test for tests in TESTS.values() for test in tests])
def test_these_exist(test):
    file, _, name = test.partition("::")
    assert re.search(rf"^ *def {name}\(", (ROOT / "tests" / file).read_text(encoding="utf-8"), flags=re.MULTILINE)
