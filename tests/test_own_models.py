"""Models of one's own: files name them by a hash, and a wrong or missing one is refused by it."""

import io
import json
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import skimage.data
from test_web_codec import TESTS, node  # noqa: F401  # a fixture

import npeg
from npeg import container, networks, own_models, sections, weights
from npeg.arrays import Pixels
from npeg.errors import FormatError, InputError
from npeg.networks import FOLDER, MODELS


@pytest.fixture(scope="module")
def mine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that codes other tables than the shipped one."""
    folder = tmp_path_factory.mktemp("models") / "mine"
    shutil.copytree(FOLDER / MODELS[8], folder)
    arrays = dict(np.load(folder / "entropy.npz"))
    arrays["offset_y"] = arrays["offset_y"] + 1
    np.savez_compressed(folder / "entropy.npz", **arrays)
    weights.write_sums(folder)
    return folder


@pytest.fixture(scope="module")
def name(mine: Path) -> str:
    return own_models.name_of(mine)


@pytest.fixture(scope="module")
def file(mine: Path, photo: Pixels) -> bytes:
    return npeg.encode(photo, 50, model=mine)


def test_a_file_of_ones_own_model_comes_back_by_it(
    file: bytes, mine: Path, name: str, photo: Pixels
) -> None:
    pixels = npeg.decode(file, model=str(mine))
    assert np.abs(pixels.astype(int) - photo).mean() < 12
    assert (npeg.decode(file, model=mine, region=(5, 6, 30, 20)) == pixels[6:26, 5:35]).all()
    header = container.info(file).header
    assert (header.model_id, header.own_model) == (0, name)
    assert len(name) == 16 and bytes.fromhex(name) in file


def test_a_missing_model_is_refused_by_its_hash(file: bytes, name: str) -> None:
    for region in (None, (0, 0, 9, 9)):
        with pytest.raises(FormatError, match=f"file needs model {name}, which is not here"):
            npeg.decode(file, region=region)


def test_a_wrong_model_is_refused_by_its_hash(file: bytes, name: str) -> None:
    other = own_models.name_of(FOLDER / MODELS[7])
    with pytest.raises(FormatError, match=f"file needs model {name}, found model {other}"):
        npeg.decode(file, model=FOLDER / MODELS[7])


def test_models_are_found_where_the_variable_leads(
    file: bytes, mine: Path, photo: Pixels, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = npeg.decode(file, model=mine)
    for place in (mine, mine.parent):
        monkeypatch.setenv(own_models.VARIABLE, str(place))
        assert (npeg.decode(file) == expected).all()
    assert npeg.encode(photo, 50, model="mine") == file


def test_a_shipped_model_keeps_its_byte(photo: Pixels, photo_npeg: bytes) -> None:
    assert npeg.encode(photo, 50, model=FOLDER / MODELS[8]) == photo_npeg


def test_files_without_networks_need_no_model(mine: Path, photo: Pixels) -> None:
    exact = npeg.encode(photo, model=mine, lossless=True)
    assert (npeg.decode(exact) == photo).all()


def test_the_hash_is_of_what_decoding_needs(mine: Path, name: str, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(mine, tmp_path / "copy"))
    (copy / "analysis.onnx").write_bytes(b"another encoder")
    weights.write_sums(copy)
    assert own_models.name_of(copy) == name
    (copy / "synthesis.onnx").write_bytes(b"another decoder")
    weights.write_sums(copy)
    assert own_models.name_of(copy) != name


def test_weights_that_are_not_what_their_folder_states_are_refused(
    file: bytes, mine: Path, tmp_path: Path
) -> None:
    copy = Path(shutil.copytree(mine, tmp_path / "copy"))
    (copy / "synthesis.onnx").write_bytes(b"another decoder")
    with pytest.raises(InputError, match="other weights than SHA256SUMS states"):
        npeg.decode(file, model=copy)


@pytest.mark.parametrize("model", ["nowhere", FOLDER / "residual", 5, FOLDER])
def test_what_is_no_model_is_one_line(photo: Pixels, photo_npeg: bytes, model: Any) -> None:
    for use in (
        lambda: npeg.encode(photo, model=model),
        lambda: npeg.decode(photo_npeg, model=model),
    ):
        with pytest.raises(InputError, match=r"found (no model|5 as a model)") as caught:
            use()
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("payloads", [[], [bytes(8)] * 2, [bytes(7)], [bytes(9)]])
def test_a_file_names_one_model_or_is_refused(photo_npeg: bytes, payloads: list[bytes]) -> None:
    header = container.pack_header(container.Header(0, 100, 128, 96))
    names = b"".join(sections.pack_section(sections.NAME, payload) for payload in payloads)
    data = header + names + photo_npeg[container.HEADER_SIZE :]
    ways: dict[str, Any] = {"region": (0, 0, 1, 1), "scale": 1 / 8, "partial": True}
    read: list[Callable[[bytes], object]] = [
        partial(npeg.decode, **{name: value}) for name, value in ways.items()
    ]
    read = [npeg.info, npeg.decode, *read]
    for refuse in read:
        with pytest.raises(FormatError, match="expected the name of the model|'N' is not known"):
            refuse(data)
    shipped = photo_npeg[: container.HEADER_SIZE] + names + photo_npeg[container.HEADER_SIZE :]
    if payloads:
        for refuse in read:
            with pytest.raises(FormatError, match="'N' is not known"):
                refuse(shipped)


def test_a_damaged_or_cut_name_is_refused(file: bytes, mine: Path) -> None:
    end = container.HEADER_SIZE + sections.NAME_SIZE
    damaged = file[: end - 1] + bytes([file[end - 1] ^ 1]) + file[end:]
    with pytest.raises(FormatError, match="'N' is damaged"):
        npeg.decode(damaged, model=mine)
    for size in (container.HEADER_SIZE, end - 1, end):
        with pytest.raises(FormatError, match="truncated"):
            npeg.decode(file[:size], model=mine, partial=True)


def test_cut_files_and_small_pictures_find_their_model(mine: Path, name: str) -> None:
    file = npeg.encode(skimage.data.chelsea()[:256, :320], 80, model=mine)
    cut = file[: len(file) // 2]
    assert sections.HYPER in container.read_tiles(file)[1][0]
    whole = npeg.decode(file, model=mine)
    with pytest.warns(UserWarning, match="the file is cut"):
        arrived = npeg.decode(cut, model=mine, partial=True)
    assert np.abs(arrived.astype(int) - whole).mean() < 12
    small = npeg.decode(file, model=mine, scale=1 / 8)
    averaged = whole.reshape(len(whole) // 8, 8, -1, 8, 3).mean((1, 3))
    assert np.abs(small - averaged).mean() < 4
    assert max(npeg.thumbnail(file, 20, model=mine).shape) == 20
    refused = f"file needs model {name}, which is not here"
    with pytest.raises(FormatError, match=refused):
        npeg.decode(cut, scale=1 / 16)
    with pytest.warns(UserWarning, match="is cut"), pytest.raises(FormatError, match=refused):
        npeg.decode(cut, partial=True)


def test_deep_pictures_keep_their_bits_by_it(mine: Path, photo: Pixels) -> None:
    deep = photo.astype(np.uint16) * 257
    found = npeg.decode(npeg.encode(deep, 50, model=mine), model=mine, dtype="uint16")
    assert np.abs(found.astype(int) - deep).mean() < 12 * 257
    assert len(np.unique(found)) > 256


def test_metadata_goes_with_it(mine: Path, png: Path) -> None:
    given = npeg.metadata(npeg.encode(png))
    data = npeg.encode(png, model=mine, metadata=given)
    assert container.read_leading(io.BytesIO(data))[1].keys() == {
        s.type.encode() for s in npeg.info(data).sections if s.type.islower()
    }


def test_the_command_line_takes_and_names_it(run, png: Path, mine: Path, name: str) -> None:
    assert run("encode", png, "-o", "a.npeg", "--model", mine).status == 0
    assert f"model {name}" in run("info", "a.npeg").out
    assert json.loads(run("info", "a.npeg", "--json").out)["own_model"] == name
    refused = run("decode", "a.npeg")
    assert refused.status == 1 and refused.err.count("\n") == 1 and name in refused.err
    assert run("decode", "a.npeg", "--model", mine).status == 0
    assert run("encode", png, "-o", "b.npeg", "--model", "nowhere").status == 1


def test_ids_and_names_of_shipped_models_are_apart() -> None:
    found = {networks.identify(FOLDER / folder) for folder in MODELS.values()}
    assert found == {(model_id, "") for model_id in MODELS}


def test_export_never_overwrites_what_it_must_not(tmp_path: Path, mine: Path) -> None:
    from npeg.training.options_export import check_output

    for shipped in (FOLDER, FOLDER / MODELS[8], FOLDER / "new"):
        for force in (False, True):
            with pytest.raises(InputError, match="shipped weights"):
                check_output(shipped, force)
    with pytest.raises(InputError, match="exists \\(-f overwrites it\\)"):
        check_output(mine, force=False)
    check_output(mine, force=True)
    check_output(tmp_path / "new", force=False)
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters/mother.txt").write_text("dear")
    with pytest.raises(InputError, match="which is no model"):
        check_output(tmp_path / "letters", force=True)


def test_a_browser_refuses_such_a_file_in_one_line(
    node: Callable[..., None],  # noqa: F811
    file: bytes,
    tmp_path: Path,
) -> None:
    (tmp_path / "mine.npeg").write_bytes(file)
    node(TESTS / "compare.mjs", tmp_path)
    found = json.loads((tmp_path / "mine.json").read_text())
    assert found == {"error": "file needs a model of somebody's own, which browsers do not have"}
