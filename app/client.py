"""A client of the HTTP API.

May import: httpx, the views. Knows neither SQL nor Celery, so that it installs light.
"""

import time
from collections.abc import Callable, Mapping
from typing import Any, Self

import httpx

from app.schemas import (
    ExperimentHistoryView,
    ExperimentView,
    HealthView,
    ListView,
    TrialSummaryView,
    TrialView,
)

_ENDED = {"completed", "failed", "cancelled"}


class ProblemError(Exception):
    """The service has refused a request.

    Attributes:
        status: the HTTP status.
        problem: the problem document, or an empty one if the answer was none.
    """

    def __init__(self, response: httpx.Response) -> None:
        self.status = response.status_code
        is_problem = response.headers.get("content-type", "").startswith("application/problem+json")
        self.problem: Mapping[str, Any] = response.json() if is_problem else {}
        super().__init__(f"{self.status}: {self.problem.get('detail', response.reason_phrase)}")


class Client:
    """Speaks to one service; a context manager."""

    def __init__(self, url: str = "http://127.0.0.1:8000", *, key: str | None = None, timeout: float = 30.0) -> None:
        """Args: url: where the service is; key: if it needs one; timeout: seconds for one request."""
        headers = {} if key is None else {"Authorization": f"Bearer {key}"}
        self._http = httpx.Client(base_url=url, timeout=timeout, headers=headers)

    def __enter__(self) -> Self:
        """The client itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the connections."""
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def submit(self, spec: Mapping[str, Any], *, idempotency_key: str | None = None) -> ExperimentView:
        """Submit an experiment; under an idempotency key as often as you like, it is made once.

        Raises:
            ProblemError: the service refuses it; nothing was stored.
        """
        headers = {} if idempotency_key is None else {"Idempotency-Key": idempotency_key}
        return ExperimentView.model_validate(self._json("POST", "/v1/experiments", json=spec, headers=headers))

    def get_experiment(self, experiment_id: str) -> ExperimentView:
        """Where an experiment is."""
        return ExperimentView.model_validate(self._json("GET", f"/v1/experiments/{experiment_id}"))

    def wait(
        self, experiment_id: str, *, timeout: float, on_change: Callable[[ExperimentView], None] = lambda _: None
    ) -> ExperimentView:
        """Poll an experiment until all its trials have ended.

        Args:
            experiment_id: which.
            timeout: seconds after which to give up.
            on_change: called whenever the experiment's version has grown.

        Raises:
            TimeoutError: it has not ended in time; it goes on all the same.
        """
        deadline = time.monotonic() + timeout
        version = 0
        while True:
            view = self.get_experiment(experiment_id)
            if view.version > version:
                on_change(view)
                version = view.version
            if view.state in _ENDED:
                return view
            if time.monotonic() > deadline:
                raise TimeoutError(f"experiment {experiment_id} is still {view.state} after {timeout:g} s")
            time.sleep(0.1)

    def list_trials(self, experiment_id: str) -> list[TrialSummaryView]:
        """An experiment's trials."""
        answer = self._json("GET", f"/v1/experiments/{experiment_id}/trials")
        return ListView[TrialSummaryView].model_validate(answer).items

    def get_trial(self, trial_id: str) -> TrialView:
        """One trial."""
        return TrialView.model_validate(self._json("GET", f"/v1/trials/{trial_id}"))

    def get_history(self, experiment_id: str, after: int = 0) -> ExperimentHistoryView:
        """The histories of all trials, or what was written after a version."""
        answer = self._json("GET", f"/v1/experiments/{experiment_id}/history", params={"after": after})
        return ExperimentHistoryView.model_validate(answer)

    def get_plot(self, experiment_id: str, metric: str | None = None) -> bytes:
        """The curves of one metric, by default the objective's, as SVG."""
        params = {} if metric is None else {"metric": metric}
        return self._answer("GET", f"/v1/experiments/{experiment_id}/plot.svg", params=params).content

    def get_health(self) -> HealthView:
        """Whether the service can do its work."""
        return HealthView.model_validate(self._json("GET", "/readyz"))

    def cancel(self, experiment_id: str) -> int:
        """Cancel an experiment; gives the number of trials that this call has cancelled or asked to stop."""
        return int(self._json("POST", f"/v1/experiments/{experiment_id}/cancel")["trials_cancelled"])

    def pause(self, experiment_id: str) -> ExperimentView:
        """Begin nothing more of an experiment, and put back what runs at the end of its epoch."""
        return ExperimentView.model_validate(self._json("POST", f"/v1/experiments/{experiment_id}/pause"))

    def resume(self, experiment_id: str) -> ExperimentView:
        """Let a paused experiment go on."""
        return ExperimentView.model_validate(self._json("POST", f"/v1/experiments/{experiment_id}/resume"))

    def delete(self, experiment_id: str) -> None:
        """Remove an experiment with all that belongs to it, for good."""
        self._answer("DELETE", f"/v1/experiments/{experiment_id}")

    def _answer(self, method: str, path: str, **arguments: Any) -> httpx.Response:  # noqa: ANN401 - httpx's own
        response = self._http.request(method, path, **arguments)
        if response.is_error:
            raise ProblemError(response)
        return response

    def _json(self, method: str, path: str, **arguments: Any) -> Any:  # noqa: ANN401 - JSON
        return self._answer(method, path, **arguments).json()
