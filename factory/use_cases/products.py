"""Product texts into product type codes, as in Rakuten France's challenge."""

from factory.use_cases.use_case import UseCase

PRODUCTS = UseCase(
    name="products",
    title="Product type codes from product texts",
    model_name="products",
    experiment="products",
    near_duplicate_alarm=0.35,  # goods descriptions repeat each other by nature: 29 % in the sample catalogue
    min_class_rows=2,
)
