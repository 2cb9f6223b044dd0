"""Which tests are given to one process, when several run side by side."""

ONE_PROCESS = {
    "campaign/test_campaign": "tiny_sweep",
    "contracts/test_extending": "toys",
    "contracts/test_registries": "tiny_sweep",
    "golden/test_sweep": "golden_sweep",
    "golden/test_systems": "golden_systems",
    "integration/test_bfloat16": "tiny_sweep",
    "integration/test_claims_sweep": "claims_sweep",
    "integration/test_console": "tiny_sweep",
    "integration/test_inspect": "tiny_sweep",
    "integration/test_killed_training": "tiny_sweep",
    "integration/test_odd_folders": "tiny_sweep",
    "integration/test_serving": "tiny_sweep",
    "integration/test_signals_in_phases": "tiny_sweep",
    "integration/test_sweep": "tiny_sweep",
    "integration/test_sweep_faults": "tiny_sweep",
    "integration/test_sweep_reuse": "tiny_sweep",
    "integration/test_sweep_workers": "tiny_sweep",
    "integration/test_two_at_once": "tiny_sweep",
    "integration/test_wheel": "tiny_sweep",
    "unit/bench/test_bench": "tiny_sweep",
    "unit/bundle/test_bundle": "tiny_sweep",
    "unit/bundle/test_demo": "tiny_sweep",
    "unit/bundle/test_exchange": "tiny_sweep",
    "unit/index/test_milvus": "tiny_sweep",
    "unit/mini/test_task_builders": "mini",
    "unit/stages/test_bad_input": "tiny_sweep",
    "unit/stages/test_items": "tiny_sweep",
    "unit/stages/test_retriever_warmup": "tiny_sweep",
    "unit/stages/test_training_switches": "tiny_sweep",
    "unit/sweep/test_study_file": "tiny_sweep",
    "unit/tracking/test_mirror": "mlflow",
    "unit/tracking/test_places": "mlflow",
    "unit/tracking/test_store": "mlflow",
}
"""Files whose fixtures take longer than their tests -> what they share: their tests run in one process.

Marks of pytest-xdist 3.8 do not group tests of pytest 9.2, whose ids it cannot change.
"""
