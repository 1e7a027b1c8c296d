"""Settings of the property tests."""

from hypothesis import HealthCheck, settings


def test_no_property_test_depends_on_the_clock():
    assert settings().deadline is None
    for name in ("default", "ci"):
        profile = settings.get_profile(name)
        assert profile.deadline is None
        assert HealthCheck.too_slow in profile.suppress_health_check
    assert settings.get_profile("ci").derandomize
