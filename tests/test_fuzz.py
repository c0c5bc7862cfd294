"""Mutants of files: each is refused, or read as astropy or asdf reads the same bytes; and damage that was found so."""

from __future__ import annotations

import gzip
import importlib.util
from collections import Counter

import pytest
from astropy.io import fits

from rampfit_numba import RampFileError, read_exposure, read_ima
from rampfit_numba.simulate.wfc3 import simulate_ima
from tests.fuzz.mutations import mutate
from tests.fuzz.trials import roman_seeds, seeds, try_mutants
from tests.make_files import int_times, ramp_hdulist, to_bytes

ROMAN = all(importlib.util.find_spec(name) for name in ("asdf", "lz4"))


@pytest.mark.slow
def test_no_mutant_is_read_otherwise_than_the_judges_read_it(tmp_path):
    """``python -m tests.fuzz`` tries more of them, and other ones."""
    files = seeds(tmp_path) + (roman_seeds(tmp_path) if ROMAN else [])
    counts = Counter()
    assert list(try_mutants(files, range(1_000_000, 1_002_000), counts)) == []
    assert sum(counts.values()) == 2000
    for outcome in ("equal", "refused"):
        assert sum(count for name, count in counts.items() if name.endswith(outcome)) > 500, counts


def test_a_mutant_can_be_made_again():
    content = to_bytes(ramp_hdulist())
    assert mutate(content, 7) == mutate(content, 7) != mutate(content, 8)


def test_a_reader_that_takes_other_data_is_found(tmp_path, monkeypatch):
    """The judges can fail."""
    from tests.fuzz import judges

    def read(path):
        exposure = read_exposure(path)
        exposure.groupdq.flags.writeable = True
        exposure.groupdq[0, 0, 0, 0] ^= 4
        return exposure

    files = [seed for seed in seeds(tmp_path) if seed.kind == "compressed"]
    monkeypatch.setattr(judges, "read_exposure", read)
    findings = list(try_mutants(files, range(20), Counter()))
    assert findings
    assert "groupdq of (2, 5, 6, 7)" in findings[0].complaint


# ------------------------------------------------------------------------------------------------------- what was found
def with_card(old, new):
    content = to_bytes(ramp_hdulist())
    assert old in content
    return content.replace(old.ljust(80), new.ljust(80), 1)


@pytest.mark.parametrize(
    ("old", "new", "keyword"),
    [
        (b"SIMPLE  =                    T / conforms to FITS standard", b"SIMPLE  =                  'x'", "SIMPLE"),
        (b"EXTEND  =                    T", b"EXTEND  =                    T             H", "EXTEND"),
        (b"EXTNAME = 'PIXELDQ '           / extension name", b"EXTNAME = 'PIXELDQ '   )", "EXTNAME"),
        (b"PCOUNT  =                    0 / number of parameters", b"BITPIX  =                   16", "BITPIX"),
        (b"PCOUNT  =                    0 / number of parameters", b"NAXIS4  =                    0", "NAXIS4"),
        (b"GCOUNT  =                    1 / number of groups", b"XTENSION=                    1", "XTENSION"),
        (b"GCOUNT  =                    1 / number of groups", b"GCOUNT  =", "GCOUNT"),
        (b"GCOUNT  =                    1 / number of groups", b"GCOUNT  =                    1 / \x93", "GCOUNT"),
    ],
)
def test_a_card_that_tells_how_a_file_is_built_is_sound_or_the_file_is_refused(tmp_path, old, new, keyword):
    """Astropy sees another HDU there, or none."""
    (tmp_path / "x.fits").write_bytes(with_card(old, new))
    with pytest.raises(RampFileError, match=rf"x\.fits: a header is damaged \(its card {keyword} does not follow FITS"):
        read_exposure(tmp_path / "x.fits")


@pytest.mark.parametrize("hdu", range(3))
@pytest.mark.parametrize("card", [b"BLANK   =  12 x", b"CHECKSUM= 'abc", b"DATASUM =   1 2", b"BLANK   = 'x'    \xa0"])
def test_a_card_that_astropy_reads_with_the_hdu_is_sound_or_the_file_is_refused(tmp_path, card, hdu):
    """Where it cannot read one of these, the HDU is lost to it; an empty one does no harm."""
    content = to_bytes(ramp_hdulist())
    places = [0, *(place for place in range(0, len(content), 2880) if content[place:].startswith(b"XTENSION"))]
    place = content.index(b"END".ljust(80), places[hdu])

    changed = content[:place] + card.ljust(80) + b"END".ljust(80) + content[place + 160 :]
    (tmp_path / "x.fits").write_bytes(changed)
    with pytest.raises(RampFileError, match=rf"its card {card[:8].decode().rstrip()} does not follow FITS"):
        read_exposure(tmp_path / "x.fits")
    (tmp_path / "x.fits").write_bytes(changed.replace(card.ljust(80), card[:9].ljust(80)))
    read_exposure(tmp_path / "x.fits")


def test_no_group_of_data_is_no_array(tmp_path):
    (tmp_path / "x.fits").write_bytes(with_card(b"GCOUNT  =                    1 / number of groups", b"GCOUNT  = 0"))
    with pytest.raises(RampFileError, match="GCOUNT = 0"):
        read_exposure(tmp_path / "x.fits")


def test_a_column_whose_name_cannot_be_understood_is_an_error(tmp_path):
    hdulist = ramp_hdulist()
    hdulist.append(fits.BinTableHDU.from_columns(int_times(2), name="INT_TIMES"))
    content = to_bytes(hdulist).replace(b"'int_end_BJD_TDB'   ", b"'int_end_BJD_TDB'  !", 1)
    (tmp_path / "x.fits").write_bytes(content)
    with pytest.raises(RampFileError, match="extension INT_TIMES cannot be understood"):
        read_exposure(tmp_path / "x.fits")


def test_columns_that_do_not_fit_into_their_rows_are_an_error(tmp_path):
    hdulist = ramp_hdulist()
    hdulist.append(fits.BinTableHDU.from_columns(int_times(2), name="INT_TIMES"))
    content = to_bytes(hdulist).replace(b"NAXIS1  =                   52", b"NAXIS1  =                    2", 1)
    (tmp_path / "x.fits").write_bytes(content)
    with pytest.raises(RampFileError, match=r"INT_TIMES cannot be understood \(its columns take 52 bytes of rows of 2"):
        read_exposure(tmp_path / "x.fits")


@pytest.mark.parametrize("packed", [False, True])
def test_two_billion_axes_are_refused_at_once(tmp_path, packed):
    """Astropy asks for them one by one."""
    content = to_bytes(simulate_ima(3, (16, 16), seed=1).hdulist)
    place = content.index(b"NAXIS   =", 2880 * 3)
    content = content[: place + 10] + b"%20d" % 2147483647 + content[place + 30 :]
    path = tmp_path / f"x_ima.fits{'.gz' if packed else ''}"
    path.write_bytes(gzip.compress(content) if packed else content)
    with pytest.raises(RampFileError, match=r"has no keyword NAXIS\d"):
        read_ima(path)


@pytest.mark.parametrize("card", [b"EXTEND  =D                   T", b"EXTNAME ='SCI     '", b"BITPIX  =-32"])
def test_a_card_of_structure_without_a_value_is_an_error(tmp_path, card):
    """Without "= ", what follows is a text to astropy, '=D   T', and it warns."""
    place = (content := to_bytes(ramp_hdulist())).index(card[:8], 2880 if card.startswith(b"EXTNAME") else 0)
    (tmp_path / "x.fits").write_bytes(content[:place] + card.ljust(80) + content[place + 80 :])
    with pytest.raises(RampFileError, match=rf"its card {card[:8].decode().rstrip()} does not follow FITS"):
        read_exposure(tmp_path / "x.fits")


def test_a_card_of_wfc3_that_cannot_be_understood_is_an_error(tmp_path):
    content = to_bytes(simulate_ima(3, (16, 16), seed=1).hdulist).replace(
        b"DARKCORR= 'COMPLETE'   ", b"DARKCORR= 'COMPLETE'  )", 1
    )
    (tmp_path / "x_ima.fits").write_bytes(content)
    with pytest.raises(RampFileError, match=r"x_ima\.fits: keyword DARKCORR of the primary header cannot be"):
        read_ima(tmp_path / "x_ima.fits")


def test_rows_that_a_table_has_no_data_for_are_an_error(tmp_path):
    """Astropy reads them from what follows."""
    path = with_times(tmp_path, b"NAXIS   =                    2", b"NAXIS   =                    1")
    with pytest.raises(RampFileError, match=r"INT_TIMES cannot be understood \(its rows take 104 of 52 bytes\)"):
        read_exposure(path)


def with_times(tmp_path, old, new):
    hdulist = ramp_hdulist()
    hdulist.append(fits.BinTableHDU.from_columns(int_times(2), name="INT_TIMES"))
    content = to_bytes(hdulist)
    start = content.index(old, content.index(b"INT_TIMES") - 2880)
    (tmp_path / "x.fits").write_bytes(content[:start] + new.ljust(len(old)) + content[start + len(old) :])
    return tmp_path / "x.fits"


@pytest.mark.parametrize("count", [-1, 1000, 2147483647])
def test_a_table_of_two_billion_columns_is_refused_at_once(tmp_path, count):
    """Astropy makes a list of as many as TFIELDS says."""
    path = with_times(tmp_path, b"TFIELDS =                    7", b"TFIELDS =%21d" % count)
    with pytest.raises(RampFileError, match=rf"INT_TIMES cannot be understood \(TFIELDS = {count}\)"):
        read_exposure(path)


@pytest.mark.parametrize("keyword", [b"TFORM5", b"TTYPE5"])
def test_a_column_that_is_described_in_no_text_is_refused(tmp_path, keyword):
    """Astropy cannot parse the card; with another character in its place it would be another column."""
    path = (
        with_times(tmp_path, keyword + b"  = 'D", keyword + b"  = '\0")
        if keyword == b"TFORM5"
        else with_times(tmp_path, keyword + b"  = 'int_", keyword + b"  = 'int\0")
    )
    with pytest.raises(RampFileError, match=rf"its card {keyword.decode()} does not follow FITS"):
        read_exposure(path)


def test_a_header_of_nothing_but_its_end_is_named(tmp_path, caplog):
    """Astropy gives up on it with an error of its own."""
    content = to_bytes(ramp_hdulist())
    (tmp_path / "x.fits").write_bytes(content + b"END".ljust(80) * 36)
    read_exposure(tmp_path / "x.fits")
    assert f"at byte {len(content)}, is no FITS and is left out" in caplog.text


@pytest.mark.parametrize(
    "card", [b"TGROUP  =                 10.0        \x1e", b"SUBSTRT1=       11 \x1c", b"INSTRUME= 'NIRCAM'  \x1f"]
)
def test_a_byte_that_is_no_text_changes_no_value(tmp_path, card):
    """Astropy takes it for a blank; with another character in its place the value would be another text."""
    old = card[:9]
    content = to_bytes(ramp_hdulist())
    place = content.index(old)
    (tmp_path / "x.fits").write_bytes(content[:place] + card.ljust(80) + content[place + 80 :])
    with pytest.raises(RampFileError, match=rf"its card {old[:8].decode().rstrip()} does not follow FITS"):
        read_exposure(tmp_path / "x.fits")


@pytest.mark.parametrize("card", [b"TGROUP  = 3.0 / \x1e and \xb5", b"COMMENT \x1e", b"INSTRUME= 'NIR\x1eCAM'"])
def test_a_byte_that_is_no_text_becomes_a_question_mark(tmp_path, card):
    """In comments, and where astropy reads no value."""
    content = to_bytes(ramp_hdulist())
    place = content.index(card[:8] if not card.startswith(b"COMMENT") else b"SUBSTRT2")
    (tmp_path / "x.fits").write_bytes(content[:place] + card.ljust(80) + content[place + 80 :])
    cards = [str(line) for line in read_exposure(tmp_path / "x.fits").header.primary.cards]
    assert any("?" in line for line in cards)
