"""Pictures as floats, and labels."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from unsup_fast import pictures  # noqa: E402
from unsup_fast.models.training.data import check_labels, to_float  # noqa: E402

BYTES = torch.arange(256, dtype=torch.uint8)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_bytes_become_floats_and_come_back(dtype):
    floats = to_float(BYTES, dtype)
    assert floats.dtype == dtype
    expected = np.arange(256, dtype=np.longdouble) / np.longdouble(127.5) - 1
    bound = torch.finfo(dtype).eps
    assert np.abs(floats.numpy() - expected).max() <= bound
    assert (floats[0], floats[255]) == (-1, 1)
    np.testing.assert_array_equal(pictures.to_bytes(floats.numpy()), BYTES.numpy())
    assert BYTES.tolist() == list(range(256))


def test_floats_are_left_alone():
    floats = torch.tensor([-3.0, 0.1, 200.0])
    assert to_float(floats) is floats
    assert torch.equal(to_float(floats, torch.float64), floats.double())


def test_labels_become_whole_numbers():
    for labels in ([2, 0, 1], np.array([2, 0, 1], np.uint8), torch.tensor([2, 0, 1]).int()):
        classes = check_labels(labels, 3, 3)
        assert classes.dtype == torch.int64
        assert classes.tolist() == [2, 0, 1]


@pytest.mark.parametrize(
    ("labels", "n_classes", "message"),
    [
        ([0.0, 1.0], 2, "labels are torch.float32 of shape .2,.; pass 2 whole numbers"),
        ([True, False], 2, "labels are torch.bool"),
        ([0], 2, "one for each of 2 images"),
        ([[0, 1]], 2, "of shape .1, 2."),
        ([0, 2], 2, "lie between 0 and 2; the model has classes from 0 to 1"),
        ([-1, 1], 2, "lie between -1 and 1"),
        ([0, 0], 0, "without classes"),
    ],
)
def test_other_labels_are_refused(labels, n_classes, message):
    with pytest.raises(ValueError, match=message):
        check_labels(labels, 2, n_classes)
