import json

import pytest

from kerassl.detectors.model_files import run_card

CONFIG = """# As resolved
backbone: MobileNet
data: {train: annotations.json}
detector: {image_size: 64}
localizer: null
"""


@pytest.mark.current_stack
@pytest.mark.parametrize("place", [".", "variants/random-start"], ids=["fine-tuned", "compared"])
def test_card_has_data_settings_and_figures_of_the_models_run(tmp_path, place):
    folder = tmp_path / "run" / place
    folder.mkdir(parents=True)
    (tmp_path / "run" / "config.yaml").write_text(CONFIG)
    (folder / "detector.json").write_text(json.dumps({"voc07_ap50": 0.25}))
    assert run_card(folder / "detector.keras") == {
        "backbone": "MobileNet",
        "data": {"train": "annotations.json"},
        "training": {"image_size": 64},
        "metrics": {"voc07_ap50": 0.25},
    }


@pytest.mark.current_stack
def test_card_is_empty_when_a_model_has_no_run(tmp_path):
    assert run_card(tmp_path / "a" / "b" / "c" / "detector.keras") == {}
