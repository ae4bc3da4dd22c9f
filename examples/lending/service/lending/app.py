"""The thin HTTP layer: parse, call the rule, answer. No decisions here."""

from __future__ import annotations

from collections.abc import Callable

from fastapi import FastAPI
from fastapi.responses import JSONResponse

from lending import metrics, pricing, scoring
from lending.figures import Application, NeedsPersonError

app = FastAPI(title="lending", openapi_url=None)


@app.post("/score")
async def post_score(application: dict[str, object]) -> JSONResponse:
    """Answer 200 with score, decision and reason, 422 when a person must look at it, 500 when the rule fails."""
    return _answer("scoring", scoring.score, application)


@app.post("/price")
async def post_price(application: dict[str, object]) -> JSONResponse:
    """Answer 200 with rate and instalment, 422 when a person must look at it, 500 when the rule fails."""
    return _answer("pricing", pricing.price, application)


@app.get("/health")
async def get_health() -> JSONResponse:
    """Answer 200 once the service can answer."""
    return JSONResponse({"ok": True})


@app.get("/metrics")
async def get_metrics() -> JSONResponse:
    """Answer this process's own counters."""
    return JSONResponse(metrics.snapshot())


def _answer(component: str, rule: Callable[[Application], dict[str, object]], application: Application) -> JSONResponse:
    metrics.answered(component)
    try:
        return JSONResponse(rule(application))
    except NeedsPersonError as err:
        metrics.failed(component)
        return JSONResponse({"error": "needs a person", "why": str(err)}, status_code=422)
    except Exception:  # noqa: BLE001  a failing rule is an answer (500) and is counted, whatever it raised
        metrics.failed(component)
        return JSONResponse({"error": "internal"}, status_code=500)
