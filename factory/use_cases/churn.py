"""Customers who will leave, by what is known of them: telephone customers by default, or the Telco layout.

Columns of both are declared; a source that lacks some trains without them.
"""

from factory.use_cases.columns import NO, YES, Column, Product
from factory.use_cases.sources import Entities, Sample
from factory.use_cases.tasks import Binary
from factory.use_cases.use_case import Drift, Gate, Model, UseCase


def _numbers(*names: str) -> tuple[Column, ...]:
    return tuple(Column(name, "number", nullable=True, least=0) for name in names)


def _parts(whole: str) -> tuple[Column, ...]:
    """What was used, by the time of day and abroad; together they make the whole."""
    names = (f"total_{part}_{whole}" for part in ("day", "eve", "night", "intl"))
    return tuple(Column(name, "number", nullable=True, least=0, part_of=whole) for name in names)


def _categories(*names: str) -> tuple[Column, ...]:
    return tuple(Column(name, "category", nullable=True) for name in names)


def _flags(*names: str) -> tuple[Column, ...]:
    return tuple(Column(name, "flag", nullable=True, values=(YES, NO)) for name in names)


CUSTOMERS = Entities(
    table="customers",
    key="customer_id",
    outcomes="customer_outcomes",
    label_delay_days=7,
    sample=Sample("factory.sources.shipped", "modeldata/mlc_churn", key="rownames"),
    columns=(
        Column("age", "number", nullable=True, sensitive=True, least=18, most=120),
        Column("gender", "category", nullable=True, sensitive=True),
        Column("senior_citizen", "flag", nullable=True, sensitive=True, values=(YES, NO)),
        # how long, how much, how often
        *_numbers("account_length", "tenure", "monthly_charges", "total_charges", "number_vmail_messages"),
        *_numbers("number_customer_service_calls"),
        *(column for whole in ("minutes", "calls", "charge") for column in _parts(whole)),
        # what they have
        *_flags("international_plan", "voice_mail_plan", "partner", "dependents", "phone_service", "paperless_billing"),
        *_categories("multiple_lines", "internet_service", "online_security", "online_backup", "device_protection"),
        *_categories("tech_support", "streaming_tv", "streaming_movies", "contract", "payment_method"),
        *_categories("state", "area_code"),
    ),
    drift_columns=(
        *("account_length", "total_day_minutes", "number_customer_service_calls", "international_plan"),
        *("tenure", "monthly_charges", "contract", "internet_service"),
    ),
    rules=(Product("total_charges", ("tenure", "monthly_charges"), within=0.5, allowed=0.02),),
)

CHURN = UseCase(
    name="churn",
    title="Customers who will leave",
    dag_id="weekly_churn",
    source=CUSTOMERS,
    models=(
        Model(
            name="churn",
            task=Binary(target="churn", positive=YES),
            gate=Gate(floor=0.80, largest_group_difference=0.25, largest_calibration_error=0.06),
        ),
    ),
    drift=Drift(before_periods=23 / 7),  # thirty days with the last seven
    schedule="35 7 * * 1",
    purpose=(
        "Ranks customers by the probability that they will leave, so that somebody can speak with those at risk. It is "
        "not meant to set prices, to refuse service or to judge a person."
    ),
    limits=(
        "It knows customers whose outcome is known; how those behave who joined last is told only after the delay.",
        "A probability is no cause: what moves it need not be what would keep the customer.",
        "Groups that are hardly present are not known well: the fairness table says how many rows each has.",
    ),
)
