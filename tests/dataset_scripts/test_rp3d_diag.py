import json
import shutil

import numpy as np
import pytest

from raddiag_hf.data.case_splits import CaseDataError
from raddiag_hf.data.opening import open_cases
from raddiag_hf.data.publishers.loading import load_builder, load_dataset
from raddiag_hf.data.publishers.source import DataSourceError
from raddiag_hf.data.store.case import decode_case
from raddiag_hf.vocabulary import Anatomy, Modality, Plane, Sex, Split

DISORDERS = ("Normal", "Segond fracture", "Hip dislocation")
MEANINGS = {"S73": "Dislocation of hip", "S82": "Fracture of lower leg"}
AUTHORS_FOLDER = "/mnt/somewhere/RP3D/arrays"


def sample(*arrays, articles=("Segond fracture",), icd10s=("S82",), plane="Sagittal"):
    return {
        "plane_projection": [plane] * len(arrays),
        "aux_modality": ["T2", *[None] * (len(arrays) - 1)],
        "pat": "Patient Data  Age: 13 years  Gender: Male",
        "articles": list(articles),
        "anatomy": "Lower Limb",
        "icd10s": list(icd10s),
        "image_data_path": [f"{AUTHORS_FOLDER}/data/{array}.npy" for array in arrays],
        "image_key_path": [f"{AUTHORS_FOLDER}/key/{array}.npy" for array in arrays],
    }


def case(*samples, modalities):
    return {"Modalities": modalities, "Samples": list(samples), "Anatomy": "Lower Limb"}


def link(name):
    return f"https://radiopaedia.org//cases/{name}?lang=us"


KNEE = case(
    sample(1, plane="Frontal"),
    sample(2, 3, articles=("Segond fracture", "An article that is no disorder")),
    modalities=["X-ray", "MRI"],
)
HIP = case(sample(4, articles=("Hip dislocation",), icd10s=("S73",), plane=None), modalities=["CT"])


@pytest.fixture
def rp3d(tmp_path):
    """Ten training cases, the first a knee of three scans, and one test case."""
    folder = tmp_path / "data"
    for name in ("data", "key"):
        (folder / "arrays" / name).mkdir(parents=True)
    radiograph = np.repeat(np.random.default_rng(1).random((8, 8, 1), np.float32), 3, axis=2)
    depths = {2: 4, 3: 5, 4: 6}
    save_array(folder, 1, radiograph, key=0)
    for number, depth in depths.items():
        array = np.random.default_rng(number).random((8, 6, depth), np.float32)
        save_array(folder, number, array, key=depth - 1)
    train = {link("knee"): KNEE} | {link(f"hip-{number}"): HIP for number in range(9)}
    write_json(folder / "train.json", train)
    write_json(folder / "test.json", {link("hip-test"): HIP})
    write_json(folder / "disorder_label_dict.json", {name: i for i, name in enumerate(DISORDERS)})
    write_json(folder / "icd10_label_dict.json", {"Normal": 0, "S73": 1, "S82": 2})
    write_json(folder / "icd10_desription.json", {"Normal": "normal"} | MEANINGS)
    return folder


def save_array(folder, number, array, key):
    np.save(folder / "arrays" / "data" / f"{number}.npy", array)
    np.save(folder / "arrays" / "key" / f"{number}.npy", np.array([key]))


def write_json(path, content):
    path.write_text(json.dumps(content))


def builder(folder, tmp_path, name=None, **options):
    return load_builder("rp3d_diag", name, data_dir=folder, cache_dir=tmp_path / "cache", **options)


def test_a_case_holds_the_scans_of_all_its_samples(rp3d, tmp_path):
    knee = builder(rp3d, tmp_path).list_cases()[0]
    assert (knee.case_id, knee.age, knee.sex) == ("knee", 13, Sex.MALE)
    assert knee.anatomy is Anatomy.LOWER_LIMB
    assert knee.labels == {
        "disorders": ("Segond fracture",),
        "icd10": ("S82 Fracture of lower leg",),
    }
    assert [(scan.scan_id, scan.modality, scan.plane) for scan in knee.scans] == [
        ("1", Modality.XRAY, Plane.FRONTAL),
        ("2", Modality.MRI, Plane.SAGITTAL),
        ("3", Modality.MRI, Plane.SAGITTAL),
    ]
    assert [scan.sequence for scan in knee.scans] == ["T2", "T2", ""]
    assert [scan.study for scan in knee.scans] == ["sample-1", "sample-2", "sample-2"]


def test_depth_comes_first_and_equal_channels_are_one_picture(rp3d, tmp_path):
    cases = load_dataset("rp3d_diag", data_dir=rp3d, cache_dir=tmp_path / "cache")
    rows = {row["case_id"]: row for split in cases.values() for row in split}
    knee = decode_case(rows["knee"], cases["test"].features)
    assert [scan.scan.volume.shape for scan in knee.scans] == [(1, 8, 8), (4, 8, 6), (5, 8, 6)]
    assert [scan.key_slice for scan in knee.scans] == [0, 3, 4]
    assert [scan.study for scan in knee.scans] == ["sample-1", "sample-2", "sample-2"]


def test_a_key_slice_beyond_the_scan_is_unknown(rp3d, tmp_path):
    np.save(rp3d / "arrays" / "key" / "4.npy", np.array([6]))
    row = load_dataset("rp3d_diag", data_dir=rp3d, split="test", cache_dir=tmp_path / "cache")[0]
    assert row["scans"][0]["key_slice"] == -1


def test_the_published_test_list_is_kept(rp3d, tmp_path):
    cases = load_dataset("rp3d_diag", data_dir=rp3d, cache_dir=tmp_path / "cache")
    assert list(cases["test"]["case_id"]) == ["hip-test"]
    assert (len(cases["train"]), len(cases["validation"])) == (9, 1)


def test_without_a_test_list_a_tenth_and_a_fifth_are_put_aside(rp3d, tmp_path):
    (rp3d / "test.json").unlink()
    cases = load_dataset("rp3d_diag", data_dir=rp3d, cache_dir=tmp_path / "cache")
    assert [len(cases[split]) for split in Split] == [7, 1, 2]


def test_icd10_categories_are_named_by_code_and_meaning(rp3d, tmp_path):
    label_set = builder(rp3d, tmp_path).label_sets()["icd10"]
    assert label_set.names == ("Normal", "S73 Dislocation of hip", "S82 Fracture of lower leg")
    assert label_set.codes == ("", "S73", "S82")
    assert label_set.texts == ("Normal", *MEANINGS.values())


def test_one_build_has_both_levels_and_one_split(rp3d, tmp_path):
    store = builder(rp3d, tmp_path).write(tmp_path / "out")
    assert sorted(store.label_sets) == ["disorders", "icd10"]
    columns = store.label_sets
    opened = {column: open_cases(tmp_path / "out", label_column=column) for column in columns}
    ids = [
        {split: one.metadata.case_ids for split, one in cases.items()} for cases in opened.values()
    ]
    assert ids[0] == ids[1]
    hips = [cases.label_set.train_counts[1:] for cases in opened.values()]
    assert sorted(hips[0]) == sorted(hips[1]) == [1, 8]  # stratified on both
    with pytest.raises(CaseDataError, match=r"no label column was named.*disorders, icd10"):
        open_cases(tmp_path / "out")


def test_what_labels_mean_is_known_without_writing_them(rp3d, monkeypatch, tmp_path):
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    cases = open_cases("rp3d_diag", label_column="icd10", data_dir=rp3d)
    assert cases.label_set.texts == ("Normal", *MEANINGS.values())
    cases = open_cases("rp3d_diag", label_column="disorders:1", data_dir=rp3d)
    assert cases.label_set.names == ("Hip dislocation",)
    assert sum(len(one) for one in cases.values()) == 10  # the knee has no label left


def test_a_level_without_its_label_file_is_left_out(rp3d, tmp_path):
    (rp3d / "icd10_label_dict.json").unlink()
    assert list(builder(rp3d, tmp_path).label_sets()) == ["disorders"]
    (rp3d / "disorder_label_dict.json").unlink()
    with pytest.raises(DataSourceError, match=r"disorder_label_dict.json or icd10_label_dict.json"):
        builder(rp3d, tmp_path)


@pytest.mark.parametrize("name", ["disorders", "icd10", "subset200"])
def test_former_configurations_say_what_stands_for_them(rp3d, tmp_path, name):
    column = "disorders:200" if name == "subset200" else name
    with pytest.raises(DataSourceError, match=f"both label levels; choose label column {column} "):
        builder(rp3d, tmp_path, name)


def test_cases_that_are_repeated_for_augmentation_are_not_read(rp3d, tmp_path):
    write_json(rp3d / "aug.json", {"Lower Limb": {link("leaked-from-test"): HIP}})
    assert len(builder(rp3d, tmp_path).list_cases()) == 11


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("image_data_path", None, r"knee: image_data_path: expected a list of values"),
        ("image_key_path", ["a.npy", "b.npy"], "image_key_path: expected one per array, found 2"),
        ("articles", None, "articles: expected labels in every sample"),
    ],
)
def test_a_sample_that_lacks_something_is_named(rp3d, tmp_path, key, value, message):
    broken = {**sample(1), key: value} if value else {**sample(1)}
    if value is None:
        del broken[key]
    write_json(rp3d / "train.json", {link("knee"): case(broken, modalities=["X-ray"])})
    with pytest.raises(DataSourceError, match=message):
        builder(rp3d, tmp_path).list_cases()


def test_missing_arrays_are_counted(rp3d, tmp_path):
    shutil.rmtree(rp3d / "arrays" / "key")
    (rp3d / "arrays" / "data" / "4.npy").unlink()
    with pytest.raises(DataSourceError, match="expected all 26 files that it lists, found 23"):
        builder(rp3d, tmp_path).verify()


def test_a_partial_download_builds_what_is_there(rp3d, tmp_path):
    (rp3d / "arrays" / "data" / "3.npy").unlink()
    store = builder(rp3d, tmp_path, strict=False).write(tmp_path / "out")
    rejected = (tmp_path / "out" / "rejected.csv").read_text()
    assert sum(store.num_cases(split) for split in store.shards) == 11
    assert rejected.count("not_found") == 1


def test_the_authors_demo_case_arrives_whole(shared_dir, tmp_path):
    data = shared_dir / "data" / "rp3d_diag"
    rows = load_dataset("rp3d_diag", data_dir=data, split="test", cache_dir=tmp_path, strict=False)
    case = decode_case(rows[0], rows.features)
    assert len(rows) == 1
    assert case.case_id == "segond-fracture-5"
    assert case.labels["disorders"] == ("Anterior cruciate ligament tear", "Segond fracture")
    assert [(scan.scan.scan_id, scan.scan.modality) for scan in case.scans] == [
        ("149462", Modality.XRAY),
        ("149463", Modality.MRI),
        ("149464", Modality.MRI),
    ]
    array = np.load(data / "DemoData" / "data" / "149463.npy")
    stored = case.scans[1].scan.volume
    assert np.abs(stored[0] - array[..., 0]).max() <= rows[0]["scans"][1]["volume"]["max_error"]
