from raddiag_hf.data.publishers.loading import load_builder, load_dataset
from raddiag_hf.data.store.case import decode_case
from raddiag_hf.phantoms.cases import draw_case, phantom_disorders

SMALL = {
    "num_train": 3,
    "num_validation": 1,
    "num_test": 1,
    "image_size": 32,
    "max_slices": 6,
    "num_disorders": 5,
}


def test_phantoms_need_no_files(tmp_path):
    cases = load_dataset("phantoms", cache_dir=tmp_path, **SMALL)
    assert {name: len(split) for name, split in cases.items()} == {
        "train": 3,
        "validation": 1,
        "test": 1,
    }
    assert len(set().union(*(split["patient_id"] for split in cases.values()))) == 5


def test_a_phantom_is_what_its_seed_draws(tmp_path):
    row = load_dataset("phantoms", split="train", cache_dir=tmp_path, **SMALL)[2]
    drawn = draw_case(0, 2, image_size=32, max_slices=6, disorders=phantom_disorders()[:5])
    features = load_builder("phantoms", cache_dir=tmp_path, **SMALL).info.features
    case = decode_case(row, features)
    assert case.labels["disorders"] == drawn.disorders
    assert (case.scans[0].scan.volume == drawn.scans[0].volume).all()


def test_the_label_set_starts_with_normal(tmp_path):
    label_set = load_builder("phantoms", cache_dir=tmp_path, **SMALL).label_sets()["disorders"]
    assert (label_set.names[0], len(label_set)) == ("Normal", 6)
