"""Four CSV files in the exact layout of Maven Analytics' CRM, with opportunities that are made up."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import numpy as np

ACCOUNTS = """account,sector,year_established,revenue,employees,office_location,subsidiary_of
Acme Corporation,technolgy,1996,1100.04,2822,United States,
Betasoloin,medical,1999,251.41,495,United States,
Dontechi,software,1982,4618.0,10083,Romania,Acme Corporation
Cancity,retail,2001,718.62,2448,United States,
"""
PRODUCTS = """product,series,sales_price
GTX Basic,GTX,550
GTX Pro,GTX,4821
MG Special,MG,55
"""
TEAMS = """sales_agent,manager,regional_office
Anna Snelling,Dustin Brinkmann,Central
Darcel Schlecht,Melvin Marxen,Central
Moses Frase,Summer Sewald,West
"""
PIPELINE = "opportunity_id,sales_agent,product,account,deal_stage,engage_date,close_date,close_value"
FIRST_DAY, LAST_DAY = date(2016, 10, 20), date(2017, 12, 31)


def write_maven(folder: Path, *lines: str) -> Path:
    """The folder with the four files; `lines` are those of the pipeline."""
    folder.mkdir(parents=True, exist_ok=True)
    texts = {"accounts": ACCOUNTS, "products": PRODUCTS, "sales_teams": TEAMS}
    texts["sales_pipeline"] = "\n".join([PIPELINE, *lines, ""])
    for name, text in texts.items():
        (folder / f"{name}.csv").write_text(text)
    return folder


def made_up_pipeline(count: int = 400, seed: int = 4) -> list[str]:
    """Opportunities over the fourteen months of the real files; expensive ones of Moses are hardly ever won."""
    random = np.random.default_rng(seed)
    accounts, products = (_first(text) for text in (ACCOUNTS, PRODUCTS))
    agents, lines = _first(TEAMS), []
    for place in range(count):
        engaged = FIRST_DAY + timedelta(days=int(random.integers(0, 400)))
        closed = engaged + timedelta(days=int(random.integers(1, 120)))
        agent, product = str(random.choice(agents)), str(random.choice(products))
        won = random.random() < (0.1 if product == "GTX Pro" and agent == "Moses Frase" else 0.7)
        written = "GTXPro" if product == "GTX Pro" else product
        named = f"O{place:07},{agent},{written},{random.choice(accounts) if place % 5 else ''}"
        if closed > LAST_DAY:
            lines.append(f"{named},Prospecting,,," if place % 3 else f"{named},Engaging,{engaged},,")
        else:
            lines.append(f"{named},{'Won' if won else 'Lost'},{engaged},{closed},{500 + place if won else 0}")
    return lines


def _first(text: str) -> list[str]:
    return [line.split(",")[0] for line in text.splitlines()[1:]]
