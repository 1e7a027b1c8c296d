"""Numbers as people read them."""

import pytest

from unsup_fast.report import numbers


@pytest.mark.parametrize(
    ("function", "value", "text"),
    [
        (numbers.count, 60000, "60,000"),
        (lambda value: numbers.counted(value, "row"), 1, "1 row"),
        (lambda value: numbers.counted(value, "row"), 1000, "1,000 rows"),
        (numbers.short, 950, "950"),
        (numbers.short, 12345, "12.3k"),
        (numbers.short, 999_999, "1M"),
        (numbers.tick, 0.05, "0.05"),
        (numbers.tick, 2000, "2,000"),
        (numbers.tick, 12500, "12.5k"),
        (numbers.tick, 34610.5, "34.6105k"),
        (numbers.tick, 2e-5, "2e-5"),
        (numbers.tick, 1.2e11, "1.2e11"),
        (numbers.real, 34609.8765, "34,610"),
        (numbers.real, 1.0914e11, "1.0914e11"),
        (numbers.real, 0.0123456, "0.012346"),
        (numbers.real, 0.0, "0"),
        (numbers.percent, 0.0, "0 %"),
        (numbers.percent, 1.0, "100 %"),
        (numbers.percent, 0.9999999, "> 99.99 %"),
        (numbers.percent, 1e-9, "< 0.01 %"),
        (numbers.percent, 0.1234, "12.3 %"),
        (numbers.seconds, 0.0001, "< 1 ms"),
        (numbers.seconds, 0.3456, "0.35 s"),
        (numbers.seconds, 9.96, "10 s"),
        (numbers.seconds, 59.7, "1 min 00 s"),
        (numbers.seconds, 7500, "2 h 05 min"),
        (numbers.size, 512, "512 B"),
        (numbers.size, 1.5e6, "1.5 MB"),
    ],
)
def test_numbers(function, value, text):
    assert function(value) == text
