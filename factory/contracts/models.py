"""How the models of one run fared, where a use case has several."""

from __future__ import annotations

from factory.contracts.base import Result


class ModelsResult(Result):
    """`failed` says of each model that failed in which task, and why; the others got through."""

    use_case: str
    models: tuple[str, ...]
    failed: dict[str, str]

    def facts(self) -> dict[str, str]:
        return {"Models": f"{len(self.models) - len(self.failed)} of {len(self.models)}"}

    def reservations(self) -> list[str]:
        return [f"{model} failed in {said}" for model, said in self.failed.items()]
