"""What serving a model takes is measured apart from everything else, and a model that cannot be served is said so."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from flows.adapters.serving_costs import ServingFailed, measure_costs


def test_a_model_that_cannot_be_loaded_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(ServingFailed, match=r"cannot be served by itself: [\s\S]*model.skops"):
        measure_costs(tmp_path, "products", pd.DataFrame({"text": ["a text"]}))
