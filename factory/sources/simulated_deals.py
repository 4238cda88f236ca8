"""A simulated CRM: opportunities of a company that sells software for procurement, as leadforge makes them.

Owns how leadforge's tables become ours. It simulates one month's leads, each by its own days; here leads are dealt out
to months, and all days of a lead move with it. Nothing of it is real, and nobody's data are in it.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, timedelta
from typing import Any

import numpy as np
import pandas as pd

from factory.catalogue.histories import CHANGED_AT
from factory.sources.moments import evening_of
from factory.sources.tables import Rows

RECIPE, DIFFICULTY, SEED = "b2b_saas_procurement_v1", "intro", 42
ACCOUNTS, CONTACTS, LEADS = 600, 2_000, 3_600
HORIZON_DAYS = 240
"""So long a lead is followed; an opportunity that is open then is given up, and lost on that day."""
FIRST_MONTH, MONTHS = date(2016, 10, 1), 15
"""The months to which leads are dealt out: those of the Maven files, so that both run by one clock."""
RECENT_DAYS = 28
WEEK = timedelta(days=7)
EVENTS = (
    ("touches", "touches", "touch_timestamp"),
    ("web_visits", "sessions", "session_timestamp"),
    ("sales_activities", "sales_activities", "activity_timestamp"),
)
"""What is counted: our column, and leadforge's table and moment."""
_PLANS = ((30_000, "starter"), (80_000, "growth"), (float("inf"), "enterprise"))
"""Up to which yearly value which plan is sold, as leadforge has it."""


def read(_: str) -> Rows:
    """States of opportunities, and those of accounts, products and teams that they name; there is one such sample."""
    from leadforge.api import Generator

    generator = Generator.from_recipe(RECIPE, seed=SEED, difficulty=DIFFICULTY, horizon_days=HORIZON_DAYS)
    world = generator.generate(n_accounts=ACCOUNTS, n_contacts=CONTACTS, n_leads=LEADS)
    made, people = world.simulation_result, world.population
    began = min(date.fromisoformat(lead.lead_created_at) for lead in made.leads).replace(day=1)
    moved = {lead.lead_id: _month(place) - began for place, lead in enumerate(made.leads)}
    states = _states(made, people, moved)
    earlier = FIRST_MONTH - began
    accounts = pd.DataFrame(
        {
            "account": each.account_id,
            CHANGED_AT: evening_of(date.fromisoformat(each.created_at) + earlier),
            "sector": each.industry,
            "office_location": each.region,
            "employee_band": each.employee_band,
            "revenue_band": each.estimated_revenue_band,
            "process_maturity": each.process_maturity_band,
        }
        for each in people.accounts
    )
    begun = evening_of(FIRST_MONTH - timedelta(days=1))
    plans = pd.DataFrame([{"product": plan, CHANGED_AT: begun, "series": "Procure"} for _, plan in _PLANS])
    agents = sorted({lead.owner_rep_id for lead in made.leads})
    teams = pd.DataFrame([{"sales_agent": agent, CHANGED_AT: begun} for agent in agents])
    return Rows(states, pd.DataFrame(), {"accounts": accounts, "sales_products": plans, "sales_teams": teams})


def _month(place: int) -> date:
    """The first day of the month that a lead is dealt to."""
    year, month = divmod(FIRST_MONTH.year * 12 + FIRST_MONTH.month - 1 + place % MONTHS, 12)
    return date(year, month + 1, 1)


def _states(made: Any, people: Any, moved: dict[str, timedelta]) -> pd.DataFrame:
    """Each opportunity when it was opened, once a week while it was open, and when it was closed."""
    leads = {lead.lead_id: lead for lead in made.leads}
    contacts = {contact.contact_id: contact for contact in people.contacts}
    counted = {column: _days_of(getattr(made, table), moment) for column, table, moment in EVENTS}
    rows: list[dict[str, Any]] = []
    for deal in made.opportunities:
        lead = leads[deal.lead_id]
        opened = date.fromisoformat(deal.created_at)
        given_up = date.fromisoformat(lead.lead_created_at) + timedelta(days=HORIZON_DAYS)
        closed = date.fromisoformat(deal.closed_at) if deal.closed_at else given_up
        buyer = contacts[lead.contact_id]
        shift = moved[lead.lead_id]
        known = {
            "opportunity_id": deal.opportunity_id,
            "account": lead.account_id,
            "product": next(plan for most, plan in _PLANS if deal.estimated_acv < most),
            "sales_agent": lead.owner_rep_id,
            "engage_date": (opened + shift).isoformat(),
            "expected_value": float(deal.estimated_acv),
            "lead_source": lead.lead_source,
            "buyer_role": buyer.role_function,
            "buyer_seniority": buyer.seniority,
        }
        for day in _days_told(opened, closed):
            happened = {column: days.get(lead.lead_id, np.empty(0)) for column, days in counted.items()}
            rows.append(
                {**known, "deal_stage": "Engaging", CHANGED_AT: evening_of(day + shift), **_counts(happened, day)}
            )
        won = deal.close_outcome == "closed_won"
        end = {"deal_stage": "Won" if won else "Lost", "close_value": float(deal.estimated_acv) if won else 0.0}
        moments = {"close_date": (closed + shift).isoformat(), CHANGED_AT: evening_of(closed + shift)}
        before = rows[-1] if opened < closed else known
        rows.append({**before, **end, **moments})
    return pd.DataFrame(rows)


def _days_told(opened: date, until: date) -> Iterable[date]:
    """The day of its opening and every seventh after it, before `until`."""
    day = opened
    while day < until:
        yield day
        day += WEEK


def _days_of(events: Iterable[Any], moment: str) -> dict[str, np.ndarray]:
    """The days of each lead's events, as ordinals in order."""
    days: dict[str, list[int]] = {}
    for event in events:
        days.setdefault(event.lead_id, []).append(date.fromisoformat(getattr(event, moment)).toordinal())
    return {lead: np.sort(found) for lead, found in days.items()}


def _counts(happened: dict[str, np.ndarray], day: date) -> dict[str, float]:
    """How often each came about by the end of the day, and how often lately."""
    counts: dict[str, float] = {}
    for column, days in happened.items():
        by_then = int(np.searchsorted(days, day.toordinal(), side="right"))
        before = int(np.searchsorted(days, day.toordinal() - RECENT_DAYS, side="right"))
        counts |= {column: float(by_then), f"recent_{column}": float(by_then - before)}
    return counts
