"""What the API server says, as kubectl would say it."""

import pytest

from staging_cronjobs.external import kubectl_proxy


@pytest.mark.parametrize(
    ("headers", "lines"),
    [
        ([], []),
        (['299 - "unknown field \\"spec.x\\""'], ['unknown field "spec.x"']),
        (['299 - "one", 299 - "two, and more"', '299 - "three"'], ["one", "two, and more", "three"]),
        (["nothing of the kind"], []),
    ],
)
def test_each_warning_is_a_line_without_its_quotes(headers: list[str], lines: list[str]) -> None:
    assert kubectl_proxy._warnings(headers) == lines


def test_a_refusal_has_its_reason_and_message() -> None:
    text = '{"kind": "Status", "reason": "NotFound", "message": "cronjobs.batch \\"x\\" not found"}'
    said = kubectl_proxy._refusal(text, "")
    assert said is not None
    assert (said.code, said.stderr) == (1, 'Error from server (NotFound): cronjobs.batch "x" not found\n')


@pytest.mark.parametrize("text", ["404 page not found", "[]", "{}", '{"reason": "NotFound"}', "[" * 100_000])
def test_a_refusal_of_somebody_else_is_no_answer(text: str) -> None:
    assert kubectl_proxy._refusal(text, "") is None
