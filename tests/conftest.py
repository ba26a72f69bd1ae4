"""What holds for all tests: hypothesis tries the same examples every time, however busy the machine is.
DNSGUARD_TESTS_RANDOM=1 draws new ones, for a campaign.
"""

import os

import hypothesis

hypothesis.settings.register_profile(
    "dnsguard",
    deadline=None,
    derandomize=os.environ.get("DNSGUARD_TESTS_RANDOM") != "1",
    print_blob=True,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("dnsguard")
