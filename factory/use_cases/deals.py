"""Sales opportunities, asked at the end of every month in which they are open: will this one be won within the next?

Columns of the simulated CRM and of the Maven files are declared; a source that lacks some trains without them.
"""

from datetime import date

from factory.use_cases.clock import Month
from factory.use_cases.columns import YES, Column
from factory.use_cases.sources import Entities, EveryPeriod, Group, Lookup, Sample
from factory.use_cases.split import Chronological
from factory.use_cases.tasks import Binary
from factory.use_cases.use_case import Drift, Gate, Model, UseCase

STAGES = ("Prospecting", "Engaging", "Won", "Lost")


def _numbers(*names: str) -> tuple[Column, ...]:
    return tuple(Column(name, "number", nullable=True, least=0) for name in names)


def _categories(*names: str) -> tuple[Column, ...]:
    return tuple(Column(name, "category", nullable=True) for name in names)


OPPORTUNITIES = Entities(
    table="opportunities",
    key="opportunity_id",
    group=Group("account"),
    asked=EveryPeriod("deal_stage", waiting=("Prospecting", "Engaging"), becomes="Won"),
    sample=Sample("factory.sources.simulated_deals", "opportunities by leadforge", simulated=True),
    folder="factory.sources.maven_deals",
    columns=(
        Column("deal_stage", "category", values=STAGES),
        Column("account", "category", nullable=True, feature=False),
        *_categories("product", "sales_agent"),
        # known of an open deal never: a snapshot shows that they are missing
        Column("close_date", "moment", nullable=True, feature=False),
        Column("close_value", "number", nullable=True, least=0, feature=False),
        # what it is about, who asked for it, and what was done for it so far
        Column("engage_date", "moment", nullable=True, feature=False),
        Column("days_open", "number", nullable=True, least=0, since="engage_date"),
        *_numbers("expected_value"),
        *_categories("lead_source", "buyer_role", "buyer_seniority"),
        *_numbers("touches", "web_visits", "sales_activities"),
        *_numbers("recent_touches", "recent_web_visits", "recent_sales_activities"),
        # of its account, its product and its agent's team
        *_categories("sector", "office_location", "subsidiary_of", "employee_band", "revenue_band", "process_maturity"),
        *_numbers("year_established", "revenue", "employees", "sales_price"),
        *_categories("series", "manager", "regional_office"),
    ),
    lookups=(
        Lookup(
            "accounts",
            "account",
            (
                *("sector", "office_location", "subsidiary_of", "year_established", "revenue", "employees"),
                *("employee_band", "revenue_band", "process_maturity"),
            ),
        ),
        Lookup("sales_products", "product", ("series", "sales_price")),
        Lookup("sales_teams", "sales_agent", ("manager", "regional_office")),
    ),
    drift_columns=("days_open", "sector", "product", "recent_sales_activities", "recent_touches", "expected_value"),
)

DEALS = UseCase(
    name="deals",
    title="Opportunities that will be won within a month",
    dag_id="monthly_deals",
    source=OPPORTUNITIES,
    models=(
        Model(
            name="deals",
            task=Binary(target="won", positive=YES),
            gate=Gate(floor=0.55, largest_calibration_error=0.08),
            candidates=("logistic-table", "boosting-table"),
        ),
    ),
    clock=Month(first=date(2016, 10, 1)),
    split=Chronological(test_periods=3, embargo_periods=1, outcome_periods=1),
    drift=Drift(current_periods=1, before_periods=3, min_samples=200, cooldown_periods=1),
    demo_begins="2017-10",
    purpose=(
        "Ranks open opportunities by the probability that they are won within the next month, for a forecast and for "
        "whom to call first. It is not meant to judge the people who sell."
    ),
    limits=(
        "The sample is simulated (leadforge), and says nothing of any real company: load a CRM of your own.",
        "What a CRM writes late, it knows late: a stage that was changed after the fact is an outcome of that day.",
        "An opportunity that is asked about every month is several rows of one account: intervals count accounts.",
    ),
)
