"""Product texts into product type codes, as in Rakuten France's challenge."""

from factory.use_cases.sources import Texts
from factory.use_cases.tasks import Multiclass
from factory.use_cases.use_case import Drift, Gate, Model, UseCase

PRODUCTS = UseCase(
    name="products",
    title="Product type codes from product texts",
    dag_id="weekly_ml_pipeline",
    source=Texts(),
    watch_schedule="0 9 * * *",
    models=(
        Model(
            name="products",
            task=Multiclass(target="prdtypecode"),
            gate=Gate(floor=0.75, margin=0.0, confidence=0.95, largest_class_fall=0.10),
        ),
    ),
    drift=Drift(before_periods=23 / 7),  # thirty days with the last seven
    near_duplicate_alarm=0.35,  # goods descriptions repeat each other by nature: 29 % in the sample catalogue
    min_class_rows=2,
    purpose=(
        "Proposes a product type code from a product's designation and description, in French or English, so that new "
        "products need not be sorted by hand. An answer of low confidence belongs before a person; it is not meant to "
        "settle customs duties, prices or anything else that a wrong code makes costly."
    ),
    limits=(
        "It knows the classes that it was trained on, and gives every text one of them, even a text of none.",
        "It reads words, not pictures: products that differ in their image alone look the same to it.",
        "The frozen test set is of the catalogue's past: the drift report tells whether newer products are like it.",
    ),
)
