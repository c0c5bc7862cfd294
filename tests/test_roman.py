"""Roman's files: ramps in, images out, references, what is wrong with a file, and a simulated exposure end to end."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from rampfit_numba import Exposure, RampFileError, fit_file, fit_files, fit_ramps, read_roman, write_roman
from rampfit_numba.io.roman import is_asdf, plain_asdf, read_surroundings
from rampfit_numba.io.roman_images import image_path
from rampfit_numba.simulate.roman import imaging_pattern, roman_paths, simulate_roman, write_roman_simulation
from tests.pipeline import names_in

pytest.importorskip("asdf")
pytest.importorskip("lz4")

EXAMPLES = json.loads((Path(__file__).parent / "data" / "roman_examples.json").read_text(encoding="utf-8"))["examples"]
SCIENCE = (slice(4, -4), slice(4, -4))


def write_tree(path, tree, tag="asdf://stsci.edu/datamodels/roman/tags/ramp-2.1.0"):
    with plain_asdf() as asdf:
        node = asdf.tagged.TaggedDict(tree, tag) if tag else tree
        asdf.AsdfFile({"roman": node}).write_to(path, all_array_compression="lz4")
    return path


def read_tree(path):
    """Return the tree of an image, arrays as arrays."""
    with plain_asdf() as asdf, asdf.open(path, memmap=False) as file:
        tree = dict(file.tree["roman"])
        return {name: value if name == "meta" else np.array(value) for name, value in tree.items()} | {
            "tag": file.tree["roman"]._tag,
            "history": [entry["description"] for entry in file.get_history_entries()],
        }


@pytest.fixture(scope="module")
def simulation():
    return simulate_roman(8, 72, 60, seed=5, hit_rate=0.002, saturation=25_000.0, source_flux=(50.0, 50_000.0))


@pytest.fixture
def ramp(simulation, tmp_path, monkeypatch):
    """Return the path of the ramps; the folder we are in has their references, r1_gain.asdf and r1_readnoise.asdf."""
    monkeypatch.chdir(tmp_path)
    return write_roman_simulation(simulation, "r1_linearity.asdf")[0]


def number(value):
    return np.nan if value is None else float(value)


@pytest.mark.parametrize("example", EXAMPLES, ids=[example["name"] for example in EXAMPLES])
def test_images_that_romancal_wrote(example, tmp_path):
    shape = (len(example["data"]), 9, 9)
    data, groupdq = (
        np.array(example[name], kind)[:, None, None] + np.zeros(shape, kind)
        for name, kind in (("data", np.float32), ("groupdq", np.uint8))
    )
    tree = {
        "meta": {"exposure": {"read_pattern": example["read_pattern"], "frame_time": example["frame_time"]}},
        "data": data,
        "groupdq": groupdq,
        "pixeldq": np.full(shape[1:], example["pixeldq"], np.uint32),
    }
    path = write_tree(tmp_path / "x_linearity.asdf", tree)
    gain, noise = (np.full(shape[1:], number(example[name]), np.float32) for name in ("gain", "readnoise"))
    (written,) = fit_file_quietly(path, noise, gain, output_dir=tmp_path)
    image, wanted = read_tree(written), example["image"]
    assert image["data"].shape == (1, 1)
    np.testing.assert_allclose(image["data"][0, 0], number(wanted["data"]), rtol=2e-6)
    for name in ("err", "var_poisson", "chisq", "dumo"):
        assert image[name].dtype == np.float16
        # One unit of the last place of half precision, where the two round a value apart.
        np.testing.assert_allclose(image[name][0, 0], np.float16(number(wanted[name])), rtol=1e-3, atol=1e-3)
    # A pixel without a rate says so, in romancal only where its resultants do.
    no_gain = example["gain"] is None or example["gain"] <= 0
    assert int(image["dq"][0, 0]) | (no_gain << 19) == wanted["dq"] | (wanted["data"] is None) | (no_gain << 19)
    np.testing.assert_array_equal(image["jump_indices"], np.array(wanted["jump_indices"], np.int16).reshape(-1, 3))


def fit_file_quietly(*arguments, **others):
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return list(fit_file(*arguments, **others))


def test_an_exposure_and_its_times(ramp, simulation):
    exposure = read_roman(ramp)
    assert exposure.shape == (1, 8, 72, 60)
    np.testing.assert_array_equal(exposure.data[0], simulation.data)
    np.testing.assert_array_equal(exposure.groupdq[0], simulation.groupdq)
    np.testing.assert_array_equal(exposure.pixeldq, simulation.pixeldq)
    assert exposure.read_times[2] == tuple(3.16247 * np.array([5, 6, 7, 8]))


def test_an_image_is_the_fit_without_its_border(ramp, simulation):
    (path,) = fit_file(ramp, "r1_readnoise.asdf", "r1_gain.asdf")
    assert path == Path.cwd() / "r1_rampfit.asdf"
    image = read_tree(path)
    fit = fit_ramps(
        read_roman(ramp),
        simulation.readnoise,
        simulation.gain,
        algorithm="likely",
        readnoise_kind="single",
        rejection_threshold=4.5,
    )
    np.testing.assert_array_equal(image["data"], fit.rate.data[SCIENCE])
    for name in ("err", "var_poisson", "chisq"):
        np.testing.assert_array_equal(image[name], getattr(fit.rate, name)[SCIENCE].astype(np.float16))
    few = ((simulation.groupdq & 3) == 0).sum(axis=0) <= 1
    np.testing.assert_array_equal(image["dq"], (fit.rate.dq | few.astype(np.uint32))[SCIENCE])
    assert np.isnan(image["data"])[(image["dq"] & 1) == 0].sum() == 0
    found = np.argwhere(fit.groupdq[0][:, 4:-4, 4:-4] & 4)
    np.testing.assert_array_equal(image["jump_indices"], found)
    assert image["jump_indices"].dtype == np.int16
    assert len(found) > 10
    assert image["tag"].endswith("/wfi_image-2.1.0")
    assert image["history"][0].startswith("rampfit_numba ")
    for name in ("border_ref_pix_left", "dq_border_ref_pix_top", "amp33"):
        np.testing.assert_array_equal(image[name], read_surroundings(ramp)[0][name])


def test_uniform_weights(ramp, simulation):
    """Dumo is an unweighted straight line through all reads, of which each resultant is a mean, minus the rate."""
    (path,) = fit_file(ramp, 5.0, 1.8)
    image = read_tree(path)
    times = read_roman(ramp).read_times
    reads = np.array([len(group) for group in times])
    mean = np.array([np.mean(group) for group in times])
    pixels = simulation.data[:, 4:-4, 4:-4].reshape(8, -1).astype(float)
    slope = np.polyfit(mean, pixels, 1, w=np.sqrt(reads))[0].reshape(64, 52)
    good = np.isfinite(image["data"])
    np.testing.assert_allclose(
        image["dumo"][good], (slope - image["data"])[good].astype(np.float16), rtol=2e-3, atol=2e-3
    )
    assert np.isnan(image["dumo"][~good]).all()


def test_metadata(ramp):
    (path,) = fit_file(ramp, "r1_readnoise.asdf", 1.8)
    before, after = read_surroundings(ramp)[0]["meta"], read_tree(path)["meta"]
    assert (after["model_type"], after["product_type"], after["filename"]) == ("ImageModel", "l2", "r1_rampfit.asdf")
    assert after["cal_step"] == before["cal_step"] | {"ramp_fit": "COMPLETE"}
    assert (after["ref_file"]["readnoise"], after["ref_file"]["gain"]) == ("r1_readnoise.asdf", "value 1.8")
    assert set(after["photometry"].values()) == {-999999}
    assert after["exposure"] == before["exposure"]
    assert after["wcs"] is None
    assert str(after["file_date"]) > "2025"


def test_rates_are_right(tmp_path):
    """Pulls of an exposure with hits, from files alone: as wide as they should be."""
    simulation = simulate_roman(8, 264, 264, seed=1, source_density=0.0, bad_pixels=0.0, background=20.0)
    path = write_roman_simulation(simulation, tmp_path / "r_linearity.asdf")[0]
    (image,) = fit_file(path, tmp_path / "r_readnoise.asdf", tmp_path / "r_gain.asdf", output_dir=tmp_path)
    exposure = read_roman(path)
    fit = fit_ramps(exposure, simulation.readnoise, simulation.gain, algorithm="likely", readnoise_kind="single")
    pull = ((fit.rate.data - simulation.true_rate) / fit.rate.err)[SCIENCE]
    assert abs(np.nanmean(pull)) < 0.06
    assert 0.98 < np.nanstd(pull[np.abs(pull) < 5]) < 1.02
    np.testing.assert_array_equal(read_tree(image)["data"], fit.rate.data[SCIENCE])


def test_write_roman(ramp, simulation):
    fit = fit_ramps(read_roman(ramp), 5.0, 1.8, algorithm="likely", readnoise_kind="single")
    path = write_roman(fit, "mine_rampfit.asdf", ramp)
    np.testing.assert_array_equal(read_tree(path)["data"], fit.rate.data[SCIENCE])
    with pytest.raises(RampFileError, match=r"mine_rampfit.asdf: exists"):
        write_roman(fit, "mine_rampfit.asdf", ramp)
    with pytest.raises(RampFileError, match="would overwrite the input"):
        write_roman(fit, ramp, ramp, overwrite=True)
    other = fit_ramps(Exposure(simulation.data[None, :, :-1], None, 3.0), 5.0, 1.8)
    with pytest.raises(ValueError, match=r"^fit: expected that of ramps of \(72, 60\) pixels; got \(71, 60\)"):
        write_roman(other, "other_rampfit.asdf", ramp)
    assert "other_rampfit.asdf" not in names_in(Path.cwd())


def test_references_of_all_kinds(ramp, simulation):
    for name in ("readnoise", "gain"):
        header = fits.Header({"SUBSTRT1": 1, "SUBSTRT2": 1, "SUBSIZE1": 60, "SUBSIZE2": 72})
        image = fits.ImageHDU(getattr(simulation, name), name="SCI")
        fits.HDUList([fits.PrimaryHDU(header=header), image]).writeto(f"{name}.fits")
    images = []
    for noise, gain in (("r1_readnoise.asdf", "r1_gain.asdf"), (simulation.readnoise, simulation.gain)):
        (path,) = fit_file(ramp, noise, gain, overwrite=True)
        images.append(read_tree(path))
    np.testing.assert_array_equal(images[0]["err"], images[1]["err"])
    (path,) = fit_file(ramp, 5.0, "1.8", overwrite=True)
    single = read_tree(path)["err"]
    (path,) = fit_file(ramp, 5.0 * np.sqrt(2), 1.8, readnoise_kind="cds", overwrite=True)
    np.testing.assert_allclose(read_tree(path)["err"], single, rtol=2e-3)
    with pytest.raises(RampFileError, match=r"r1_gain.asdf: is a gain reference file \(meta.reftype\), not readnoise"):
        fit_file(ramp, "r1_gain.asdf", 1.8, overwrite=True)


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("r1_linearity.asdf", "r1_rampfit.asdf"),
        ("r1_wfi01_dark_decay.asdf", "r1_wfi01_rampfit.asdf"),
        ("r1.asdf", "r1_rampfit.asdf"),
        ("r1_cal_ramp.asdf", "r1_cal_rampfit.asdf"),
        ("_linearity.asdf", "_linearity_rampfit.asdf"),
    ],
)
def test_names(name, wanted):
    assert image_path(f"folder/{name}", "out") == Path("out") / wanted


def changed(tree, **changes):
    return tree | changes


WRONG = {
    "l1": (
        lambda tree: changed(tree, data=tree["data"].astype(np.uint16)),
        "its data are uint16, raw counts; give the output of the linearity step: strun roman_elp",
    ),
    "not linear": (
        lambda tree: changed(tree, meta=tree["meta"] | {"cal_step": {"linearity": "INCOMPLETE"}}),
        "meta.cal_step.linearity is 'INCOMPLETE', not 'COMPLETE'; give the output of the linearity step",
    ),
    "science raw": (
        lambda tree: changed(tree, meta=tree["meta"] | {"model_type": "ScienceRawModel"}),
        r"is an uncalibrated \(L1\) file",
    ),
    "image": (lambda tree: changed(tree, meta=tree["meta"] | {"model_type": "ImageModel"}), "is a rate image"),
    "no flags": (lambda tree: {name: v for name, v in tree.items() if name != "groupdq"}, "its tree has no roman.res"),
    "flags of another shape": (
        lambda tree: changed(tree, groupdq=tree["groupdq"][1:]),
        r"roman.groupdq must have shape \(8, 72, 60\), to go with data; it has \(7, 72, 60\)",
    ),
    "no pattern": (
        lambda tree: changed(tree, meta=tree["meta"] | {"exposure": {"frame_time": 3.0}}),
        "meta.exposure.read_pattern must be a list of lists of reads; it is None",
    ),
    "short pattern": (
        lambda tree: changed(tree, meta=tree["meta"] | {"exposure": {"frame_time": 3.0, "read_pattern": [[1], [2]]}}),
        "meta.exposure.read_pattern has 2 resultants, but roman.data has 8",
    ),
    "no frame time": (
        lambda tree: changed(tree, meta=tree["meta"] | {"exposure": {"read_pattern": [[1]]}}),
        "meta.exposure.frame_time must be a number of seconds > 0; it is None",
    ),
    "falling times": (
        lambda tree: changed(
            tree, meta=tree["meta"] | {"exposure": {"frame_time": 3.0, "read_pattern": [[9 - k] for k in range(8)]}}
        ),
        "read_times",
    ),
    "two axes": (lambda tree: changed(tree, data=tree["data"][0]), "roman.data must have 3 axes; it has 2"),
}


@pytest.mark.parametrize("what", WRONG)
def test_a_file_that_is_nearly_right(ramp, simulation, what):
    change, complaint = WRONG[what]
    tree = read_surroundings(ramp)[0] | {
        "data": simulation.data,
        "groupdq": simulation.groupdq,
        "pixeldq": simulation.pixeldq,
    }
    write_tree("wrong.asdf", change(tree))
    with pytest.raises(RampFileError, match=f"^wrong.asdf: {complaint}"):
        read_roman("wrong.asdf")
    (result,) = fit_files(["wrong.asdf"], 5.0, 1.8, on_error="continue")
    assert isinstance(result.error, RampFileError)
    assert "wrong_rampfit.asdf" not in names_in(Path.cwd())


def test_damaged_files(ramp):
    content = ramp.read_bytes()
    for size in (5, 400, len(content) // 2):
        Path("cut.asdf").write_bytes(content[:size])
        with pytest.raises(RampFileError, match=r"^cut.asdf: "):
            read_roman("cut.asdf")
    with pytest.raises(RampFileError, match=r"^none.asdf: no such file"):
        read_roman("none.asdf")
    with plain_asdf() as asdf:
        asdf.AsdfFile({"something": 1}).write_to("other.asdf")
    with pytest.raises(RampFileError, match=r"^other.asdf: is no file of the Roman Space Telescope \(it holds some"):
        read_roman("other.asdf")


def test_nothing_outside_the_file_is_opened(tmp_path, monkeypatch):
    """Arrays in other files, and references to them, are refused; whatever else a tag means is not called."""
    monkeypatch.chdir(tmp_path)
    secret = np.zeros((8, 72, 60), np.float32)
    with plain_asdf() as asdf:
        asdf.AsdfFile({"data": secret}).write_to("secret.asdf")
    text = "#ASDF 1.0.0\n#ASDF_STANDARD 1.6.0\n%YAML 1.1\n%TAG ! tag:stsci.edu:asdf/\n--- !core/asdf-1.1.0\nroman:\n"
    text += "  meta: {exposure: {frame_time: 3.0, read_pattern: [[1]]}}\n"
    array = "  data: !core/ndarray-1.1.0 {source: 'SOURCE', datatype: float32, byteorder: little, shape: [1, 9, 9]}\n"
    for place in (f"file://{tmp_path}/secret.asdf", "http://localhost:1/secret.asdf", "secret.asdf"):
        Path("outside.asdf").write_text(f"{text}{array.replace('SOURCE', place)}...\n", encoding="utf-8")
        with pytest.raises(RampFileError, match=r"^outside.asdf: refers to another file"):
            read_roman("outside.asdf")
    Path("outside.asdf").write_text(f"{text}  data: {{$ref: 'secret.asdf#data'}}\n...\n", encoding="utf-8")
    with pytest.raises(RampFileError, match=r"^outside.asdf: refers to another file"):
        read_roman("outside.asdf")
    called = "  data: !!python/object/apply:os.system ['touch called']\n"
    Path("outside.asdf").write_text(f"{text}{called}...\n", encoding="utf-8")
    with pytest.raises(RampFileError, match=r"^outside.asdf: "):
        read_roman("outside.asdf")
    assert not Path("called").exists()


def test_missing_packages(ramp, monkeypatch):
    monkeypatch.setitem(sys.modules, "lz4.block", None)
    with pytest.raises(RampFileError, match=r"need the packages asdf and lz4 .*'\.\[roman\]'"):
        read_roman(ramp)


def test_kinds_of_files_are_told_by_their_content(ramp):
    Path("renamed.fits").write_bytes(ramp.read_bytes())
    assert is_asdf("renamed.fits")
    assert not is_asdf("none.asdf")
    (path,) = fit_file("renamed.fits", 5.0, 1.8)
    assert path.name == "renamed.fits_rampfit.asdf"


def test_the_command(ramp, simulation):
    def run(*arguments):
        done = subprocess.run(
            [sys.executable, "-m", "rampfit_numba", *arguments], capture_output=True, text=True, check=False
        )
        return done.returncode, done.stderr

    assert run(str(ramp), "--readnoise", "r1_readnoise.asdf", "--gain", "r1_gain.asdf")[0] == 0
    image = read_tree("r1_rampfit.asdf")
    fit = fit_ramps(
        read_roman(ramp), simulation.readnoise, simulation.gain, algorithm="likely", readnoise_kind="single"
    )
    np.testing.assert_array_equal(image["data"], fit.rate.data[SCIENCE])
    status, complaint = run(str(ramp), "--readnoise", "5", "--gain", "1.8")
    assert status == 1
    assert "r1_rampfit.asdf: exists; allow overwriting" in complaint
    status, complaint = run("simulate", "--like", "roman", "s_linearity.asdf", "--shape", "1x6x40x44", "--quiet")
    assert (status, complaint) == (0, "")
    assert {"s_linearity.asdf", "s_gain.asdf", "s_readnoise.asdf"} <= set(names_in(Path.cwd()))
    assert read_roman("s_linearity.asdf").shape == (1, 6, 40, 44)
    assert run("simulate", "--like", "roman", "s_linearity.asdf", "--shape", "2x6x40x44")[0] == 2
    assert run("simulate", "--like", "roman", "s_jump.fits", "--shape", "1x6x40x44")[0] == 1


def test_few_resultants_are_fitted_without_advice_that_nobody_can_follow(tmp_path, monkeypatch, capsys):
    from rampfit_numba.cli import main

    monkeypatch.chdir(tmp_path)
    path = write_roman_simulation(simulate_roman(3, 16, 16, seed=2), "few_linearity.asdf")[0]
    assert main([str(path), "--readnoise", "10", "--gain", "2"]) == 0
    assert "takes hits for signal" not in capsys.readouterr().err
    assert main([str(path), "--readnoise", "10", "--gain", "2", "--algorithm", "ols", "--overwrite"]) == 0
    assert (
        "few_linearity.asdf: jumps are not flagged in files of Roman, and 'ols' takes hits" in capsys.readouterr().err
    )


def test_pictures_of_an_image(ramp):
    """The rate and the flags of a rate image are drawn as they stand, and nothing else is taken for one."""
    pytest.importorskip("matplotlib")
    from rampfit_numba.plot import plot_dq, plot_rate

    (image,) = fit_file(ramp, 5.0, 1.8)
    tree = read_tree(image)
    figure = plot_rate(image)
    drawn = figure.axes[0].images[0].get_array()
    np.testing.assert_array_equal(drawn.filled(np.nan), np.where(np.isfinite(tree["data"]), tree["data"], np.nan))
    assert figure.axes[0].get_title() == "rate"
    flagged = np.asarray(plot_dq(image).images[0].get_array()) > 0
    np.testing.assert_array_equal(flagged, tree["dq"] != 0)
    with pytest.raises(ValueError, match="integration: expected none, for a rate image of Roman; got 0"):
        plot_rate(image, integration=0)
    with pytest.raises(TypeError, match=r"readnoise: expected a number, an image or a file"):
        plot_rate(ramp)
    write_tree("without.asdf", {"meta": {"model_type": "ImageModel"}, "data": tree["data"]}, tag=None)
    assert plot_rate("without.asdf").axes[0].images
    with pytest.raises(ValueError, match=r"expected a file with flags .* without.asdf has none"):
        plot_dq("without.asdf")
    write_tree("cut.asdf", {"meta": {"model_type": "ImageModel"}, "data": tree["data"], "dq": tree["dq"][1:]}, tag=None)
    with pytest.raises(RampFileError, match=r"cut.asdf: roman.dq must have shape"):
        plot_rate("cut.asdf")


def test_products_that_would_be_the_same(ramp):
    Path("r1_ramp.asdf").write_bytes(ramp.read_bytes())
    with pytest.raises(ValueError, match=r"would both be written to r1_rampfit.asdf"):
        fit_files([ramp, "r1_ramp.asdf"], 5.0, 1.8)


def test_simulated_patterns():
    assert imaging_pattern(4) == [[1], [2, 3], [5, 6, 7, 8], [10, 11, 12, 13, 14, 15, 16, 17]]
    simulation = simulate_roman(4, 16, 16, seed=2, read_pattern=[[1], [3, 4], [5], [9, 10, 11]])
    assert simulation.data.shape == (4, 16, 16)
    with pytest.raises(RampFileError, match=r"expected a name like demo_linearity.asdf"):
        roman_paths("demo.fits")
