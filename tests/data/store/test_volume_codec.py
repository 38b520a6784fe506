import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from raddiag_hf.data.store.volume_codec import decode_stored_values, decode_volume, encode_volume

shapes = st.tuples(st.integers(1, 4), st.integers(1, 9), st.integers(1, 9))
whole_volumes = st.tuples(shapes, st.integers(-(2**20), 2**20)).flatmap(
    lambda given: arrays(
        np.float32, given[0], elements=st.integers(given[1], given[1] + 65535).map(float)
    )
)
volumes = arrays(
    np.float32, shapes, elements=st.floats(-(2.0**100), 2.0**100, width=32, allow_subnormal=False)
)


def smooth_picture(depth=1, size=96):
    """Grey values as a radiograph has them: each row much like the one above."""
    rows = np.linspace(0, 4, size)
    grey = 100 + 90 * np.sin(rows)[:, None] * np.cos(rows)
    noise = np.random.default_rng(0).normal(0, 2, (depth, size, size))
    return np.rint(grey + noise).clip(0, 255).astype(np.float32)


@given(whole_volumes)
def test_whole_numbers_within_16_bits_are_exact(volume):
    stored = encode_volume(volume)
    assert stored["max_error"] == 0
    np.testing.assert_array_equal(decode_volume(stored), volume)


@given(volumes, st.sampled_from((8, 16)))
def test_the_error_is_at_most_half_a_step_and_is_recorded(volume, bits):
    stored = encode_volume(volume, bits)
    decoded = decode_volume(stored)
    error = np.abs(decoded.astype(np.float64) - volume).max()
    half_step = (float(volume.max()) - float(volume.min())) / (2**bits - 1) / 2
    rounding = 4 * np.finfo(np.float32).eps * np.abs(volume).max()
    assert error <= half_step + rounding
    assert error <= stored["max_error"] * (1 + 1e-6)
    assert decoded.dtype == np.float32


@given(volumes, st.sampled_from((8, 16)))
@settings(max_examples=50)
def test_stored_values_times_slope_plus_intercept_are_the_intensities(volume, bits):
    stored = encode_volume(volume, bits)
    values = decode_stored_values(stored)
    assert values.dtype == np.dtype(stored["dtype"])
    expected = values.astype(np.float32) * np.float32(stored["slope"])
    np.testing.assert_allclose(
        decode_volume(stored), expected + np.float32(stored["intercept"]), rtol=1e-5
    )


def test_hounsfield_units_survive_and_8_bits_round_them():
    volume = np.arange(-1024, 3072, dtype=np.float32).reshape(4, 32, 32)
    assert encode_volume(volume)["dtype"] == "uint16"
    assert encode_volume(volume, bits=8)["max_error"] == pytest.approx(4095 / 510, rel=0.01)


def test_a_picture_of_256_greys_is_exact_in_8_bits():
    volume = np.arange(256, dtype=np.float32).reshape(1, 16, 16) - 100
    stored = encode_volume(volume, bits=8)
    assert stored["dtype"] == "uint8"
    np.testing.assert_array_equal(decode_volume(stored), volume)


@pytest.mark.parametrize("value", [0.0, -1000.0, 0.1])
def test_a_constant_scan_is_exact(value):
    volume = np.full((2, 3, 4), value, np.float32)
    np.testing.assert_array_equal(decode_volume(encode_volume(volume)), volume)


def test_smooth_pictures_store_row_differences_and_noise_does_not():
    picture = smooth_picture()
    noise = np.random.default_rng(0).integers(0, 256, (2, 64, 64)).astype(np.float32)
    assert encode_volume(picture)["codec"] == "row-delta+zstd"
    assert encode_volume(noise)["codec"] == "zstd"


@pytest.mark.parametrize("depth", [1, 5])
@pytest.mark.parametrize("scale", [1, 37])
def test_row_differences_come_back_in_both_widths(depth, scale):
    volume = smooth_picture(depth) * scale
    stored = encode_volume(volume)
    assert stored["codec"] == "row-delta+zstd"
    np.testing.assert_array_equal(decode_volume(stored), volume)


def test_a_picture_takes_a_sixth_of_its_float_array():
    picture = smooth_picture(size=256)
    assert len(encode_volume(picture)["data"]) < picture.nbytes / 6


@pytest.mark.parametrize("shape", [(4, 4), (0, 4, 4), (1, 1, 4, 4)])
def test_other_shapes_are_refused(shape):
    with pytest.raises(ValueError, match="expected \\(depth, height, width\\)"):
        encode_volume(np.zeros(shape, np.float32))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_are_refused(value):
    volume = np.zeros((1, 2, 2), np.float32)
    volume[0, 0, 0] = value
    with pytest.raises(ValueError, match="expected finite"):
        encode_volume(volume)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"data": b"junk"}, "damaged"),
        ({"data": b""}, "damaged"),
        ({"shape": [2, 16, 13]}, "damaged"),
        ({"shape": [2, 16, 11]}, "damaged"),
        ({"shape": [100_000, 100_000, 1_000]}, "bytes, over"),
        ({"shape": [0, 16, 12]}, "none of them 0"),
        ({"shape": [-1, -16, 12]}, "none of them 0"),
        ({"dtype": "float64"}, "newer version"),
        ({"dtype": "object"}, "newer version"),
        ({"codec": "jpeg"}, "newer version"),
    ],
)
def test_damaged_records_are_refused(change, message):
    stored = encode_volume(smooth_picture()[:, :16, :12]) | change
    with pytest.raises(ValueError, match=message):
        decode_volume(stored)


def test_a_cut_off_record_is_refused():
    stored = encode_volume(smooth_picture())
    for end in range(0, len(stored["data"]) - 1, 97):
        with pytest.raises(ValueError, match="damaged"):
            decode_volume(stored | {"data": stored["data"][:end]})
