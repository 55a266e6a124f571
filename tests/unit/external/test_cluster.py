"""Questions to a cluster, before they are asked."""

from urllib.parse import quote

from hypothesis import given
from hypothesis import strategies as st

from staging_cronjobs.external.cluster import one_of


@given(st.sets(st.text("abcdefghijklmnopqrstuvwxyz0123456789-", min_size=1, max_size=53), max_size=1000))
def test_a_question_for_names_is_never_longer_than_a_server_takes(names: set[str]) -> None:
    selector = one_of("name", names)
    assert len(quote(f"/api/v1/namespaces/{'n' * 63}/secrets?labelSelector=owner=helm,{selector}")) < 8_000
    assert selector == "name" or selector == f"name in ({','.join(sorted(names))})"


def test_a_hundred_versions_are_asked_for_by_their_names() -> None:
    names = [f"staging-harbor-wind-forecast-v1-{number}-0" for number in range(100)]
    assert one_of("name", names) != "name"
