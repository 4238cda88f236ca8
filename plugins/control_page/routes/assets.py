"""The script and the style sheet: two files, behind the login as everything else."""

from __future__ import annotations

from fastapi import APIRouter, HTTPException
from fastapi.responses import FileResponse

from plugins.control_page.pages import ASSETS, HERE

router = APIRouter()


@router.get("/assets/{name}")
def asset(name: str) -> FileResponse:
    """One of the two; their address changes with their content."""
    if name not in ASSETS:
        raise HTTPException(404, "There is no such file")
    kept = {"Cache-Control": "private, max-age=86400, immutable", "X-Content-Type-Options": "nosniff"}
    return FileResponse(HERE / "assets" / name, media_type=ASSETS[name], headers=kept)
