"""Two versions of a model on one page."""

from __future__ import annotations

import asyncio
from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse

from factory import contracts
from plugins.control_page.comparison_views import compare, versions_of
from plugins.control_page.factory_reader import facts_of, measurements_of
from plugins.control_page.overview import champion_of
from plugins.control_page.pages import show
from plugins.control_page.routes.looking import ViewerDep
from plugins.control_page.routes.promotion import find_model

router = APIRouter()


@router.get("/promotion/{model}/compare")
async def comparison(
    request: Request,
    model: str,
    viewer: ViewerDep,
    first: Annotated[str, Query(max_length=20)] = "",
    second: Annotated[str, Query(max_length=20)] = "",
) -> HTMLResponse:
    """Version `second` beside version `first`; by default the newest one beside the champion, or the one before it."""
    declared = find_model(model)
    await asyncio.to_thread(viewer.require, "see", viewer.dags_of(contracts.promotion(declared.use_case.name).name))
    facts = await asyncio.to_thread(facts_of, model)
    measured, trouble = await asyncio.to_thread(measurements_of, model)
    versions = versions_of(facts.decisions, measured)
    champion = champion_of(facts.decisions)
    second = second if second in versions else next(iter(versions), "")
    preferred = [champion.version] if champion else []
    others = [each for each in (first, *preferred, *versions) if each in versions and each != second]
    first = next(iter(others), "")
    return show(
        request,
        "comparison.html",
        view="promotion",
        declared=declared,
        versions=versions,
        it=compare(first, second, facts.decisions, measured) if first and second else None,
        trouble=facts.trouble or trouble,
    )
