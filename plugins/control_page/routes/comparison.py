"""Two versions of a use case's model on one page."""

from __future__ import annotations

import asyncio
from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse

from factory import use_cases
from plugins.control_page.comparison_views import compare, versions_of
from plugins.control_page.factory_reader import facts_of, measurements_of
from plugins.control_page.overview import champion_of
from plugins.control_page.pages import show
from plugins.control_page.routes.looking import ViewerDep
from plugins.control_page.routes.promotion import name_of_promotion

router = APIRouter()


@router.get("/promotion/{use_case}/compare")
async def comparison(
    request: Request,
    use_case: str,
    viewer: ViewerDep,
    first: Annotated[str, Query(max_length=20)] = "",
    second: Annotated[str, Query(max_length=20)] = "",
) -> HTMLResponse:
    """Version `second` beside version `first`; by default the newest one beside the champion, or the one before it."""
    await asyncio.to_thread(viewer.require, "see", viewer.dags_of(name_of_promotion(use_case)))
    facts = await asyncio.to_thread(facts_of, use_case)
    measured, trouble = await asyncio.to_thread(measurements_of, use_case)
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
        use_case=use_cases.get(use_case),
        versions=versions,
        it=compare(first, second, facts.decisions, measured) if first and second else None,
        trouble=facts.trouble or trouble,
    )
