"""Malformed bodies, read and validated as a submit does it, without a server."""

import json

import pytest
from pydantic import ValidationError

from app.api.problems import problem_response
from fittingroom.specs.experiment import ExperimentSpec
from fittingroom.specs.faults import Fault, InvalidSpec, faults_in
from fittingroom.specs.strict_json import InvalidJsonError, read_json
from models.planning.plan import plan_experiment
from tests.app.api.malformed_bodies import BODIES, SPEC, body_of


def faults_found(body: bytes) -> list[Fault]:
    """Return what is wrong with a body, as `POST /v1/experiments` would name it."""
    try:
        document = read_json(body)
    except InvalidJsonError as error:
        return [Fault(pointer="", detail=str(error))]
    try:
        plan_experiment(ExperimentSpec.model_validate(document))
    except ValidationError as error:
        return faults_in(error, document)
    except InvalidSpec as error:
        return error.faults
    return []


def test_read_valid_body_finds_no_fault() -> None:
    assert faults_found(SPEC.encode()) == []


@pytest.mark.parametrize("name", BODIES)
def test_read_malformed_body_finds_fault(name: str) -> None:
    _, pointer, words = BODIES[name]
    faults = faults_found(body_of(name))
    assert faults
    assert faults[0].pointer == pointer
    assert words in faults[0].detail
    answer = problem_response("/v1/experiments", 422, faults[0].detail, faults)
    assert 10 < len(json.loads(answer.body)["detail"]) < 3_000
    assert len(answer.body) < 200_000
    assert b"Traceback" not in answer.body
