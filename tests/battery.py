"""
Hostile cases by families, and judges that need not know what the commands do with them.

`python tests/battery.py` runs as many as asked for and prints tried and held by family;
test_battery.py runs a few. A case is held when its results are right, or when it is refused in
one line and costs nothing but itself.
"""

import argparse
import contextlib
import gzip
import io
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
from astropy.io import fits
from astropy.wcs import WCS
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

SECONDS = 60
SHAPE = 40, 50
COMMANDS = "maximask", "maxitrack"


class Hang(BaseException):
    """A command that takes longer than anyone waits."""


def _ring(*_):
    raise Hang


@contextlib.contextmanager
def in_folder():
    """An empty working directory."""
    before = os.getcwd()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        try:
            yield Path(folder)
        finally:
            os.chdir(before)


class Commands:
    """
    The commands of a copy of the repository, in this process.

    Parameters
    ----------
    networks : path-like
        The stand-ins that they are to use, as from `conftest.write_networks`.
    """

    def __init__(self, networks):
        self.networks = str(networks)
        self.modules = {name: __import__(name) for name in COMMANDS}

    def run(self, name, *arguments):
        """Exit status and lines on standard error; what ended it instead is the status."""
        told = io.StringIO()
        before = signal.signal(signal.SIGALRM, _ring)
        signal.alarm(SECONDS)
        try:
            with contextlib.redirect_stderr(told), warnings.catch_warnings():
                warnings.resetwarnings()
                arguments = ["--net_path", self.networks, *map(str, arguments)]
                status = self.modules[name].main(arguments)
        except SystemExit as end:
            status = end.code
        except (Exception, Hang) as error:
            status = f"{type(error).__name__}: {error}"[:100]
        finally:
            signal.alarm(0)
            signal.signal(signal.SIGALRM, before)
        return status, told.getvalue().splitlines()

    def masks(self, image):
        """What an image's masks have to be."""
        return self.modules["maximask"].mask(np.ascontiguousarray(image, "f4"), self.networks)

    def in_process(self, name, *arguments, **options):
        """Start a command in a process of its own."""
        script = Path(self.modules[name].__file__)
        command = [sys.executable, script, "--net_path", self.networks, *map(str, arguments)]
        options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, **options}
        return subprocess.Popen(command, **options)


def sky(number=0, shape=SHAPE):
    """An image with a few hits and dead pixels."""
    rng = np.random.default_rng(number)
    image = rng.normal(1000, 10, shape)
    image.flat[rng.integers(0, image.size, 5)] = 5000
    image.flat[rng.integers(0, image.size, 5)] = 100
    return image.astype("f4")


def hdus():
    """A primary without data, an image, a table, an image, a table."""
    table = np.array([(i, 0.5 * i) for i in range(300)], "i4,f8")
    return [
        fits.PrimaryHDU(),
        fits.ImageHDU(np.rint(sky(1)).astype("i2"), name="ONE"),
        fits.BinTableHDU(table, name="T"),
        fits.ImageHDU(sky(2), name="TWO"),
        fits.TableHDU.from_columns([fits.Column("a", "I6", array=np.arange(100))]),
    ]


def _bytes(hdus, **options):
    file = io.BytesIO()
    fits.HDUList(hdus).writeto(file, **options)
    return file.getvalue()


def _containers():
    packed = [fits.CompImageHDU(np.rint(sky(i)).astype("i2"), name=f"C{i}") for i in (1, 2)]
    floats = fits.CompImageHDU(sky(3), compression_type="GZIP_2", quantize_level=0)
    return {
        "plain": _bytes([fits.PrimaryHDU(sky(4))]),
        "extensions": _bytes(hdus()),
        "sums": _bytes(hdus(), checksum=True),
        "fz": _bytes([fits.PrimaryHDU(), *packed, floats]),
    }


CONTAINERS = _containers()
GOOD = _bytes([fits.PrimaryHDU(sky(9))])


def opened(data):
    """The HDUs of a file as astropy sees them: an image, or the bytes of another HDU."""
    found = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with fits.open(io.BytesIO(data), memmap=False) as file:
            for hdu in file:
                images = fits.PrimaryHDU | fits.ImageHDU | fits.CompImageHDU
                if isinstance(hdu, images) and len(hdu.shape) in (2, 3):
                    found.append(np.array(hdu.data, "f4"))
                else:
                    info = hdu.fileinfo()
                    found.append(data[info["hdrLoc"] : info["datLoc"] + info["datSpan"]])
    return found


def verified(path):
    """Errors that `fitsverify` finds in a file; none where it is not installed."""
    if not shutil.which("fitsverify"):
        return 0
    done = subprocess.run(["fitsverify", path], capture_output=True)
    found = re.search(rb"found (\d+) warning\(s\) and (\d+) error\(s\)", done.stdout)
    # It gives up where there is no more sense to be made of a file.
    return int(found[2]) if found else 99


def _masks_are_wrong(commands, path, data, whole):
    """What is wrong with the masks of a file that was damaged; None if nothing."""
    data = gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data
    before = opened(whole)
    try:
        now = opened(data)
    except Exception:
        now = []
    if [type(hdu) for hdu in now] != [type(hdu) for hdu in before]:
        # Astropy does not understand what can be understood: nothing was moved.
        now = [_same_place(hdu, data, whole) for hdu in before]
    try:
        with warnings.catch_warnings(), fits.open(path) as masks:
            warnings.simplefilter("ignore")
            if len(masks) != len(before):
                return f"{len(masks)} HDUs where there were {len(before)}"
            raw = Path(path).read_bytes()
            for hdu, found in zip(masks, now, strict=True):
                if isinstance(found, bytes):
                    if len(data) != len(whole):
                        continue
                    info = hdu.fileinfo()
                    copied = raw[info["hdrLoc"] : info["datLoc"] + info["datSpan"]]
                    copied, found = (re.sub(rb"[^ -~]", b"?", each) for each in (copied, found))
                    # It may have been padded.
                    if not copied.startswith(found) or copied[len(found) :].strip(b" ?"):
                        return "a copied HDU has changed"
                    continue
                if not np.array_equal(hdu.data, commands.masks(found)):
                    return "masks differ from those of the pixels"
                for card in hdu.header.cards:
                    card.value, card.comment, str(card)
    except Exception as error:
        return f"masks cannot be read: {type(error).__name__} {error}"[:150]
    return None


def _same_place(hdu, data, whole):
    if not isinstance(hdu, bytes) or len(data) != len(whole):
        return hdu
    place = whole.index(hdu)
    return data[place : place + len(hdu)]


def damaged_files(commands, cases, judge=None):
    """
    Judge both commands on damaged files, in one list with good ones.

    Parameters
    ----------
    commands : Commands
    cases : list of tuple
        Name, bytes, and bytes of the whole file that they were made from.
    judge : callable, optional
        From the path of masks and a case to what is wrong with them, in place of a comparison
        with the masks of what astropy reads.

    Returns
    -------
    list of str or None
        For each case, what is wrong.
    """
    wrong, noted = [None] * len(cases), [[] for _ in cases]
    with in_folder():
        names = [f"case{i:03d}{name}" for i, (name, _, _) in enumerate(cases)]
        for name, (_, data, _) in zip(names, cases, strict=True):
            Path(name).write_bytes(data)
        Path("good.fits").write_bytes(GOOD)
        for command in COMMANDS:
            left = list(range(len(cases)))
            while left:
                left = _one_list(commands, command, names, left, wrong, noted)
        for i, (name, case) in enumerate(zip(names, cases, strict=True)):
            path = Path(re.sub(r"\.fits.*", ".masks.fits", name))
            if wrong[i] is None and path.exists():
                if judge:
                    wrong[i] = judge(path, case)
                elif not noted[i]:
                    wrong[i] = _masks_are_wrong(commands, path, *case[1:])
                if wrong[i] is None and verified(path) > verified(name):
                    wrong[i] = "fitsverify finds errors that the file did not have"
        left = [path.name for path in Path().iterdir() if path.name.startswith(".")]
        if left:
            wrong[0] = wrong[0] or f"left behind: {left[0]}"
    return wrong


def _one_list(commands, command, names, left, wrong, noted):
    """Run cases in one list; those that another one has cost their turn."""
    masks = Path("good.masks.fits")
    masks.unlink(missing_ok=True)
    Path("maxitrack.out").unlink(missing_ok=True)
    listed = [names[i] for i in left] + ["good.fits"]
    Path("x.list").write_text("\n".join(listed))
    status, lines = commands.run(command, "x.list")
    about, strays = {name: [] for name in listed}, []
    for line in lines:
        match = re.match(rf"{command}: (\S+?): (.+)", line)
        if match and match[1] in about:
            about[match[1]].append(match[2])
        else:
            strays.append(line)
    if command == "maxitrack":
        told = dict(line.split(" ") for line in _lines("maxitrack.out"))
        done = {name for name, value in told.items() if value != "None"}
    else:
        done = {n for n in listed if Path(re.sub(r"\.fits.*", ".masks.fits", n)).exists()}
    over = [i for i in left if names[i] in done or about[names[i]]]
    if not isinstance(status, int):
        # It stands to reason that the first without an answer is to blame.
        blame = next((i for i in left if i not in over), left[0])
        wrong[blame] = wrong[blame] or f"{command} ends with {status}"
        return [i for i in left if i > blame]
    for i in left:
        said = about[names[i]]
        if names[i] in done:
            # It may be done with a word of what is odd.
            noted[i] += said
            continue
        if len(said) != 1:
            wrong[i] = wrong[i] or f"{command}: {len(said)} lines and no result: {said[:2]}"
        elif re.search(r"\bNone\b|object has no|\wError\b", said[0]):
            wrong[i] = wrong[i] or f"{command}: a poor message: {said[0]}"
    if strays:
        wrong[left[0]] = wrong[left[0]] or f"{command} also says: {strays[0]}"
    if "good.fits" not in done:
        wrong[left[0]] = wrong[left[0]] or f"{command}: a good file was lost"
    if status != int(len(done) < len(listed)):
        wrong[left[0]] = wrong[left[0]] or f"{command}: status {status}"
    return []


def _lines(path):
    path = Path(path)
    return path.read_text(errors="surrogateescape").splitlines() if path.exists() else []


# Families: a strategy for a case, and a function that judges a list of them.

FAMILIES = {}


def family(strategy, many=10):
    """Make a family of a function that judges lists of cases; `many` are judged together."""

    def add(function):
        FAMILIES[function.__name__] = strategy, many, function
        return function

    return add


# Evenly spread, as floats of hypothesis are not.
_shares = st.integers(0, 999_999).map(lambda number: number / 1e6)
_zipped = st.sampled_from([False, True])
_container = st.sampled_from(sorted(CONTAINERS))


@family(st.tuples(_container, _zipped, _shares))
def truncated(commands, cases):
    files = []
    for container, zipped, share in cases:
        whole = CONTAINERS[container]
        if zipped and share < 0.5:
            data = gzip.compress(whole, 1)
            data = data[: int(2 * share * len(data))]
        else:
            data = whole[: int(share * len(whole))]
            data = gzip.compress(data, 1) if zipped else data
            # Where one HDU ends and no other begins, a file is whole.
            if any(int(share * len(whole)) == start for start in _starts(whole)[1:]):
                whole = whole[: int(share * len(whole))]
        files.append((".fits.gz" if zipped else ".fits", data, whole))
    return damaged_files(commands, files)


def _starts(data):
    with fits.open(io.BytesIO(data), disable_image_compression=True) as file:
        return [hdu.fileinfo()["hdrLoc"] for hdu in file]


_flips = st.lists(st.tuples(_shares, st.integers(0, 255)), min_size=1, max_size=4)


@family(st.tuples(_container, st.sampled_from(["", "gz", "in gz"]), _flips))
def mutated(commands, cases):
    return damaged_files(commands, [_mutated(*case, header=False) for case in cases])


@family(st.tuples(_container, st.sampled_from(["", "in gz"]), _flips))
def mutated_headers(commands, cases):
    return damaged_files(commands, [_mutated(*case, header=True) for case in cases])


def _mutated(container, zipped, flips, header):
    whole = CONTAINERS[container]
    data = bytearray(gzip.compress(whole, 1) if zipped == "gz" else whole)
    places = range(len(data))
    if header:
        with fits.open(io.BytesIO(whole), disable_image_compression=True) as file:
            infos = [hdu.fileinfo() for hdu in file]
        places = [i for info in infos for i in range(info["hdrLoc"], info["datLoc"])]
        # Blanks are most of a header, and say the least.
        places = [i for i in places if data[i] != 32 or i % 7 == 0]
    for share, byte in flips:
        data[places[int(share * len(places))]] = byte
    if zipped == "in gz":
        data = gzip.compress(bytes(data), 1)
    return ".fits.gz" if zipped else ".fits", bytes(data), whole


_KEYWORDS = """
WCSAXES WCSAXESA CTYPE1 CTYPE2 CRPIX1 CRVAL1 CD1_1 CD2_2 PC1_2 CDELT1 CUNIT1 CROTA2 A_ORDER A_2_0
B_ORDER PV1_1 LONPOLE EQUINOX BSCALE BZERO BLANK BUNIT DATAMIN EXTNAME EXTVER EXTEND INHERIT
NEXTEND LONGSTRN COMMENT HISTORY CONTINUE HIERARCH CHECKSUM DATASUM GROUPS PCOUNT GCOUNT NAXIS3
NAXIS XTENSION ZIMAGE ZCMPTYPE TFIELDS DATE-OBS OBJECT M1 CR P SP END MM_UTC
"""
_text = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=60)
_values = st.one_of(
    st.integers().map(str),
    st.floats().map(repr),
    _text,
    _text.map(lambda text: f"'{text}'"),
    _text.map(lambda text: f"'{text}&'"),
    st.sampled_from(["T", "F", "", "''", "(1, 2)", "1E400", "1D5", "/ comment", "= =", "'", "NaN"]),
)
_cards = st.one_of(
    st.binary(min_size=80, max_size=80),
    st.tuples(st.sampled_from(_KEYWORDS.split()), _values).map(
        lambda c: f"{c[0]:8}= {c[1]}".encode()
    ),
    st.tuples(st.sampled_from(_KEYWORDS.split()), _values).map(
        lambda c: f"{c[0]:8}{c[1]}".encode()
    ),
    st.tuples(_text, _values).map(lambda c: f"HIERARCH {c[0]} = {c[1]}".encode()),
    st.binary(max_size=60).map(lambda b: b"OBSERVER= '" + b + b"'"),
    _text.map(
        lambda text: f"OBJECT  = '{text[:50]}&'".encode().ljust(80) + b"CONTINUE  " + text.encode()
    ),
)


@family(
    st.tuples(
        st.sampled_from(["plain", "extensions", "fz"]), st.lists(_cards, min_size=1, max_size=6)
    )
)
def headers(commands, cases):
    files = []
    for container, cards in cases:
        whole = CONTAINERS[container]
        with fits.open(io.BytesIO(whole), disable_image_compression=True) as file:
            index = len(file) // 2
            info = file[index].fileinfo()
        header = whole[info["hdrLoc"] : info["datLoc"]]
        end = header.index(b"END".ljust(80))
        more = b"".join(
            card[: -(-len(card) // 80) * 80].ljust(-(-len(card) // 80) * 80) for card in cards
        )
        header = header[:end] + more + b"END".ljust(80)
        header += b" " * (-len(header) % 2880)
        files.append((".fits", whole[: info["hdrLoc"]] + header + whole[info["datLoc"] :], whole))
    return damaged_files(commands, files)


_TYPES = ["u1", "i2", "u2", "i4", "u4", "i8", "f4", "f8"]
_NO_DATA = [np.nan, np.inf, -np.inf, 1e25, -1e25, 1e30, 1.6e38, -3e38]
_spots = st.lists(
    st.tuples(_shares, st.sampled_from(_NO_DATA), st.integers(1, 40)),
    max_size=4,
)
_shapes = st.one_of(
    st.tuples(st.integers(1, 60), st.integers(1, 60)),
    st.tuples(st.integers(1, 3), st.integers(1, 40), st.integers(1, 40)),
    st.sampled_from([(1, 500), (500, 1), (200, 210)]),
)


@family(st.tuples(_shapes, st.sampled_from(_TYPES), _spots, st.booleans()))
def pixels(commands, cases):
    files, truths = [], []
    for number, (shape, dtype, spots, nothing) in enumerate(cases):
        image = sky(number, shape).astype("f8")
        image = image / 40 if dtype == "u1" else image
        image = np.rint(image.clip(0)).astype(dtype)
        clean = image.astype("f4")
        header = fits.Header()
        for share, value, size in spots:
            start = int(share * image.size)
            flat, cleaned = image.reshape(-1), clean.reshape(-1)
            if 1e20 < abs(value) < 1e30 and (nothing or 8 * size > min(shape[-2:]) ** 2):
                # Most of an image is what its pixels are like.
                value = np.nan
            stop = None if nothing else start + size
            start = 0 if nothing else start
            if dtype in ("f4", "f8"):
                flat[start:stop] = value
            elif dtype in ("i2", "i4", "i8"):
                header["BLANK"] = -9
                flat[start:stop] = -9
            else:
                continue
            cleaned[start:stop] = 0
        hdu = fits.PrimaryHDU(image)
        hdu.header.update(header)
        data = _bytes([hdu])
        files.append((".fits", data, data))
        truths.append(clean)

    def judge(path, case):
        number = next(i for i, file in enumerate(files) if file is case)
        clean = truths[number]
        planes = [
            commands.masks(p) if p.any() else np.zeros((14, *p.shape))
            for p in clean.reshape(-1, *clean.shape[-2:])
        ]
        expected = np.stack(planes, 1).reshape(14, *clean.shape)
        same = np.array_equal(fits.getdata(path), expected)
        return None if same else "masks differ from those with zeros where no data are"

    wrong = damaged_files(commands, files, judge)
    # An image without data has no probability, and maxitrack says so.
    for i, clean in enumerate(truths):
        if not clean.any() and wrong[i] and "done, but" not in wrong[i] and "maxitrack" in wrong[i]:
            wrong[i] = None
    return wrong


_angle = st.floats(0, 360)
_wcs = st.fixed_dictionaries(
    {
        "angle": _angle,
        "shear": st.floats(-0.3, 0.3),
        "linear": st.sampled_from(["CD", "PC", "CDELT"]),
        "counted": st.booleans(),
        "version": st.sampled_from(["", "", "B"]),
        "sip": st.sampled_from([0, 0, 2, 3, 4]),
        "cube": st.sampled_from([0, 0, 2]),
        "compressed": st.booleans(),
    }
)


@family(_wcs, many=4)
def coordinates(commands, cases):
    wrong = []
    for number, case in enumerate(cases):
        with in_folder(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            wrong.append(_coordinates(commands, number, **case))
    return wrong


def _coordinates(commands, number, angle, shear, linear, counted, version, sip, cube, compressed):
    c, s = np.cos(np.radians(angle)), np.sin(np.radians(angle))
    matrix = 1e-4 * np.array([[-c, s], [s, c + shear]])
    header = fits.Header()
    if counted:
        header["WCSAXES"] = 2
        if version:
            header[f"WCSAXES{version}"] = 2
    for v in {"", version}:
        end = "-SIP" if sip and not version and linear == "CD" else ""
        header.update({f"CTYPE1{v}": f"RA---TAN{end}", f"CTYPE2{v}": f"DEC--TAN{end}"})
        header.update(
            {f"CRPIX1{v}": 20.0, f"CRPIX2{v}": 30.0, f"CUNIT1{v}": "deg", f"CUNIT2{v}": "deg"}
        )
        header.update({f"CRVAL1{v}": 100.0, f"CRVAL2{v}": -30.0})
        for i, j in np.ndindex(2, 2):
            if linear == "CD":
                header[f"CD{i + 1}_{j + 1}{v}"] = matrix[i, j]
            elif linear == "PC":
                header[f"PC{i + 1}_{j + 1}{v}"] = matrix[i, j] / 1e-4
        if linear != "CD":
            header.update({f"CDELT1{v}": -1e-4 if linear == "CDELT" else 1e-4, f"CDELT2{v}": 1e-4})
    distorted = sip and linear == "CD" and not cube and not version
    if distorted:
        rng = np.random.default_rng(number)
        for name in "AB":
            header[f"{name}_ORDER"] = sip
            for i, j in np.ndindex(sip + 1, sip + 1):
                if 1 < i + j <= sip:
                    header[f"{name}_{i}_{j}"] = rng.normal(0, 0.1) / 50.0 ** (i + j)
    elif sip:
        for key in ("CTYPE1", "CTYPE2"):
            header[key] = header[key].removesuffix("-SIP")
    image = np.stack([sky(number)] * cube) if cube else sky(number)
    hdu = (fits.CompImageHDU if compressed else fits.ImageHDU)(image, header)
    fits.HDUList([fits.PrimaryHDU(), hdu]).writeto("a.fits")
    given = fits.getheader("a.fits", 1)
    points = np.array([[0.0, 0.0], [49.0, 39.0], [10.5, 30.25]])
    for single in (True, False):
        status, lines = commands.run("maximask", "a.fits", "--single_mask", single)
        if (status, lines) != (0, []):
            return f"status {status}, {lines}"
        mask = fits.getheader("a.masks.fits", 1)
        for key in {" ", version or " "}:
            try:
                old, new = WCS(given, key=key), WCS(mask, key=key)
                expected = old.all_pix2world(_more(points, old), 0)[:, :2]
                found = new.all_pix2world(_more(points, new), 0)[:, :2]
            except Exception as error:
                return f"coordinates cannot be read: {error}"[:150]
            if not np.allclose(found, expected, rtol=0, atol=1e-9):
                return f"coordinates differ, single {single}"
        verified_now = subprocess_verify("a.masks.fits")
        if verified_now > subprocess_verify("a.fits"):
            return f"fitsverify finds more: {verified_now}, single {single}"
    return None


def _more(points, wcs):
    return np.c_[points, np.zeros((len(points), wcs.naxis - 2))]


def subprocess_verify(path):
    """Errors and warnings that `fitsverify` finds; none where it is not installed."""
    if not shutil.which("fitsverify"):
        return 0, 0
    done = subprocess.run(["fitsverify", path], capture_output=True)
    found = re.search(rb"found (\d+) warning\(s\) and (\d+) error\(s\)", done.stdout)
    return (int(found[2]), int(found[1])) if found else (1, 0)


_BAD_LINES = [
    b"gone.fits",
    b"gone.fits[2]",
    b"a.fits[99999999999999999999]",
    b"a.fits[3]",
    b"a" * 300 + b".fits",
    b"x/" * 3000 + b"a.fits",
    b"nul\0nul.fits",
    b"loop.fits",
    b"loop/a.fits",
    b"pipe.fits",
    b"/dev/zero",
    b"/dev/null",
    b"/dev/full",
    b"caf\xe9.fits",
    b"\xff\xfe",
    b"x.list",
    b"a.fits/b.fits",
    b"/proc/self/mem",
    b"~",
    b"table.fits",
    "\u202e.fits".encode(),
]
_bad_lines = st.sampled_from(_BAD_LINES)
_good_lines = st.sampled_from(
    [
        b"a.fits",
        b"  a.fits  # caf\xe9",
        b"./a.fits",
        b"a.fits[0]",
        b"night",
        b"# only a comment \xe9\xff",
        b"",
        b"latin\xe9.fits",
        b"with space.fits",
        b"link.fits",
        b"a.fits\r",
    ]
)


@family(
    st.tuples(st.booleans(), st.lists(st.one_of(_bad_lines, _good_lines), min_size=1, max_size=8)),
    many=1,
)
def lists(commands, cases):
    ((mark, lines),) = cases
    with in_folder() as here:
        for name in (b"a.fits", b"latin\xe9.fits", b"with space.fits"):
            Path(os.fsdecode(name)).write_bytes(GOOD)
        Path("night").mkdir()
        Path("night/n.fits").write_bytes(GOOD)
        Path("link.fits").symlink_to("a.fits")
        Path("loop.fits").symlink_to("loop.fits")
        Path("loop").symlink_to("loop")
        Path("table.fits").write_bytes(_bytes(hdus()[::2]))
        os.mkfifo("pipe.fits")
        lines = [*lines, b"a.fits"]
        (here / "x.list").write_bytes((b"\xef\xbb\xbf" if mark else b"") + b"\n".join(lines))
        bad = {line for line in lines if line in _BAD_LINES}
        wanted = [line for line in lines if line in _BAD_LINES]
        for command in COMMANDS:
            status, said = commands.run(command, "x.list")
            if not isinstance(status, int):
                return [f"{command} ends with {status}"]
            if len(said) != len(wanted):
                return [f"{command}: {len(said)} lines for {len(wanted)} bad ones: {said[-1:]}"]
            if any(not line.startswith(f"{command}: ") for line in said):
                return [f"{command} says {said}"]
            if status != int(bool(bad)):
                return [f"{command}: status {status}"]
        expected = commands.masks(sky(9))
        if not np.array_equal(fits.getdata("a.masks.fits"), expected):
            return ["masks differ"]
        for line, name in (
            (b"night", "night/n.masks.fits"),
            (b"latin\xe9.fits", os.fsdecode(b"latin\xe9.masks.fits")),
        ):
            if line in lines and not Path(name).exists():
                return [f"no {name!r}"]
        out = Path("maxitrack.out").read_bytes().splitlines()
        count = sum(bool(re.sub(rb"(^|\s)#.*", b"", line).strip()) for line in lines)
        if len(out) != count or not all(re.search(rb" (None|[\d.e+-]+)$", line) for line in out):
            return [f"maxitrack.out has {len(out)} lines for {count}"]
    return [None]


_edits = st.lists(
    st.one_of(
        st.sampled_from(["mark", "latin", "windows", "blank", "comment"]),
        st.tuples(_shares, st.binary(max_size=3)),
    ),
    min_size=1,
    max_size=3,
)


@family(st.tuples(st.sampled_from(["flags", "priors", "thresh"]), _edits), many=1)
def class_files(commands, cases):
    ((kind, edits),) = cases
    value = {"flags": "1", "priors": "0.1", "thresh": "0.5"}[kind]
    names = commands.modules["maximask"].NAMES
    text = "".join(f"{name} {value}\n" for name in names).encode()
    harmless = True
    for edit in edits:
        if edit == "mark":
            text = b"\xef\xbb\xbf" + text.removeprefix(b"\xef\xbb\xbf")
        elif edit == "latin":
            text += b"# caf\xe9\n"
        elif edit == "windows":
            text = text.replace(b"\n", b"\r\n")
        elif edit == "blank":
            text = text.replace(b"\n", b"\n\n", 1)
        elif edit == "comment":
            text = text.replace(b"\n", b"  # one\n", 1)
        else:
            place = int(edit[0] * len(text))
            text, harmless = text[:place] + edit[1] + text[place + len(edit[1]) :], False
    with in_folder():
        Path("a.fits").write_bytes(GOOD)
        Path(f"classes.{kind}").write_bytes(text)
        status, said = commands.run("maximask", "a.fits")
        if harmless and (status, said) != (0, []):
            return [f"status {status}: {said}"]
        if status not in (0, 2) or len(said) != (status == 2):
            return [f"status {status}: {said}"]
    return [None]


_junk = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-5, 5),
    st.sampled_from(
        [
            0,
            -1,
            1e9,
            10**30,
            0.5,
            float("nan"),
            float("inf"),
            "",
            "x",
            "../x",
            [],
            {},
            [1],
            {"CR": 2},
        ]
    ),
)


@family(st.tuples(st.sampled_from(COMMANDS), _shares, _junk), many=1)
def descriptions(commands, cases):
    ((command, share, junk),) = cases
    with in_folder() as here:
        shutil.copytree(Path(commands.networks, command), "net")
        path = Path("net/network.json")
        description = json.loads(path.read_text())
        keys = sorted(set(description) | {"mesh", "block", "halo"})
        key = keys[int(share * len(keys))]
        if description.get(key) == junk and isinstance(junk, type(description.get(key))):
            return [None]
        description[key] = junk
        path.write_text(json.dumps(description))
        Path("a.fits").write_bytes(GOOD)
        other = Commands(here / "net")
        status, said = other.run(command, "a.fits")
        if status in (1, 2) and len(said) == 1 and not said[0].endswith("()"):
            return [None]
        fine = key in ("mesh", "block", "halo", "multiple", "tile", "thresholds") and status == 0
        if fine and not said and type(junk) is int and 0 <= junk <= 5:
            return [None]
        if key in ("input", "output") and isinstance(junk, str):
            # Only a GPU asks for these.
            return [None]
        return [f"{key} = {junk!r}: status {status}, {said[:2]}"]


@family(st.tuples(st.sampled_from(["KILL", "TERM", "INT", "TERM", "INT"]), _shares), many=1)
def kills(commands, cases):
    ((name, share),) = cases
    with in_folder():
        for i in range(4):
            Path(f"f{i}.fits").write_bytes(_bytes([fits.PrimaryHDU(sky(i, (600, 700)))]))
        Path("maxitrack.out").write_text("earlier.fits 0.5\n")
        command = COMMANDS[int(share * 1e6) % 2]
        process = commands.in_process(command, ".", "--batch_size", 1, preexec_fn=_default_signals)
        time.sleep(0.3 + share * _usual_time(commands, command))
        process.send_signal(getattr(signal, f"SIG{name}"))
        try:
            _, told = process.communicate(timeout=SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            return ["it does not end"]
        status = process.returncode
        for path in Path().glob("*.masks.fits"):
            with fits.open(path) as masks:
                masks.verify("exception")
                if masks[0].data.shape != (14, 600, 700):
                    return ["masks are not whole"]
        if any(not re.fullmatch(r"\S+ [\d.e+-]+", line) for line in _lines("maxitrack.out")):
            return ["a line is not whole"]
        if status == 0 and name != "KILL":
            return [None]
        left = [p.name for p in Path().iterdir() if p.name.startswith(".")]
        if name == "KILL":
            # A later run clears what was left.
            if left and command == "maximask":
                commands.run("maximask", "f0.fits")
                left = [p.name for p in Path().iterdir() if p.name.startswith(".")]
            return [f"left behind: {left}" if left else None]
        number = {"TERM": 143, "INT": 130}[name]
        early = -(number - 128)
        if status not in (number, early) or (status == early and told):
            return [f"{name}: status {status}: {told[-100:]}"]
        if status == number and len(told.splitlines()) != 1:
            return [f"{name}: says {told[-300:]}"]
        return [f"left behind: {left}" if left else None]


def _default_signals():
    signal.signal(signal.SIGINT, signal.default_int_handler)


_times = {}


def _usual_time(commands, command):
    """Seconds that the command takes when nobody ends it."""
    if command not in _times:
        start = time.perf_counter()
        with in_folder():
            for i in range(4):
                Path(f"f{i}.fits").write_bytes(_bytes([fits.PrimaryHDU(sky(i, (600, 700)))]))
            commands.in_process(command, ".", "--batch_size", 1).communicate()
        _times[command] = time.perf_counter() - start
    return _times[command]


@family(st.tuples(st.sampled_from(COMMANDS), _shares.map(lambda share: 1.2 * share)), many=1)
def file_sizes(commands, cases):
    """A limit to the size of files, as a full disk is."""
    ((command, share),) = cases
    from resource import RLIM_INFINITY, RLIMIT_FSIZE, getrlimit, setrlimit

    with in_folder():
        Path("a.fits").write_bytes(GOOD)
        Path("b.fits").write_bytes(GOOD)
        earlier = "earlier.fits 0.25\n" * 10
        Path("maxitrack.out").write_text(earlier)
        full = 2 * 2880 + 14 * 40 * 50 if command == "maximask" else len(earlier) + 60
        _, hard = getrlimit(RLIMIT_FSIZE)
        setrlimit(RLIMIT_FSIZE, (int(share * full), hard))
        try:
            status, said = commands.run(command, ".")
        finally:
            setrlimit(RLIMIT_FSIZE, (RLIM_INFINITY, hard))
        if not isinstance(status, int):
            return [f"{command} ends with {status}"]
        left = [p.name for p in Path().iterdir() if p.name.startswith(".")]
        if left:
            return [f"left behind: {left}"]
        out = Path("maxitrack.out").read_text()
        if not out.startswith(earlier) or not out.endswith("\n"):
            return ["maxitrack.out is damaged"]
        done = len(list(Path().glob("*.masks.fits")))
        if command == "maxitrack":
            done = len(out.splitlines()) - 10
        if status == 0 and done == 2 and not said:
            return [None]
        if status == 2 and done == 0 and len(said) == 1:
            return [None]
        if status == 1 and len(said) == 2 - done:
            return [None]
        return [f"{command}: status {status}, {done} done, {said}"]


@family(
    st.tuples(
        st.sampled_from(COMMANDS), st.sampled_from(["closed", "full", "broken", "all closed"])
    ),
    many=1,
)
def streams(commands, cases):
    ((command, how),) = cases
    with in_folder():
        Path("a.fits").write_bytes(GOOD)
        Path("bad.fits").write_bytes(b"no FITS file")
        Path("c.fits").write_bytes(GOOD)
        options = {"stdout": None}
        if how == "full":
            options["stderr"] = open("/dev/full", "w")  # noqa: SIM115
        elif how == "broken":
            reading, writing = os.pipe()
            os.close(reading)
            options["stderr"] = writing
        else:
            numbers = (0, 1, 2) if how == "all closed" else (2,)
            options.update(stderr=None, preexec_fn=lambda: [os.close(n) for n in numbers])
        process = commands.in_process(command, ".", "-v", **options)
        try:
            status = process.wait(SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            return ["it does not end"]
        if status != 1:
            return [f"{command}, {how}: status {status}"]
        if command == "maximask":
            expected = commands.masks(sky(9))
            for name in ("a.masks.fits", "c.masks.fits"):
                if not Path(name).exists() or not np.array_equal(fits.getdata(name), expected):
                    return [f"{how}: masks are missing or wrong"]
        elif len(_lines("maxitrack.out")) != 3:
            return [f"{how}: lines are missing"]
    return [None]


@family(st.integers(2, 4), many=1)
def writers(commands, cases):
    """Several runs in one folder at once."""
    (count,) = cases
    with in_folder():
        for i in range(6):
            Path(f"f{i}.fits").write_bytes(_bytes([fits.PrimaryHDU(sky(i))]))
        for command in COMMANDS:
            runs = [commands.in_process(command, ".") for _ in range(count)]
            for run in runs:
                _, told = run.communicate()
                if run.returncode or told:
                    return [f"{command}: status {run.returncode}: {told[-200:]}"]
        if len(_lines("maxitrack.out")) != 6 * count:
            return ["lines are missing"]
        if any(not re.fullmatch(r"f\d\.fits [\d.e+-]+", line) for line in _lines("maxitrack.out")):
            return ["lines are mixed"]
        for i in range(6):
            if not np.array_equal(fits.getdata(f"f{i}.masks.fits"), commands.masks(sky(i))):
                return ["masks differ"]
        left = [p.name for p in Path().iterdir() if p.name.startswith(".")]
        return [f"left behind: {left}" if left else None]


def tried(name, commands, count, number):
    """
    Try cases of a family.

    Parameters
    ----------
    name : str
        Of the family.
    commands : Commands
    count : int
        How many cases, at the least.
    number : int
        Seed.

    Returns
    -------
    int
        How many were tried.
    list of tuple
        Those that were not held: case, and what was wrong.
    """
    strategy, many, judge = FAMILIES[name]
    total, failed, seen = 0, [], set()

    @seed(number)
    @settings(
        max_examples=2 * max(1, -(-count // many)),
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(st.lists(strategy, min_size=many, max_size=many))
    def example(cases):
        nonlocal total
        cases = [case for case in cases if repr(case) not in seen]
        if total >= count or not cases:
            return
        seen.update(map(repr, cases))
        total += len(cases)
        try:
            wrong = judge(commands, cases)
        except Exception as error:
            wrong = [f"the judge: {type(error).__name__}: {error}"] * len(cases)
        failed.extend((c, w) for c, w in zip(cases, wrong, strict=True) if w)

    example()
    return total, failed


def main():
    parser = argparse.ArgumentParser(description=__doc__.strip().splitlines()[0])
    parser.add_argument("--cases", type=int, default=200, help="cases of a family (default: 200)")
    parser.add_argument("--processes", type=int, default=20, help="of those that start processes")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--families", nargs="*", default=list(FAMILIES), choices=list(FAMILIES))
    parser.add_argument("--repository", default=Path(__file__).resolve().parents[1], type=Path)
    parser.add_argument("-v", "--verbose", action="store_true", help="say what was not held")
    arguments = parser.parse_args()
    sys.path[:0] = [str(arguments.repository), str(arguments.repository / "tests")]
    random.seed(arguments.seed)
    with tempfile.TemporaryDirectory() as folder:
        commands = Commands(_stand_ins(Path(folder, "networks")))
        print(f"{'family':16} {'tried':>6} {'held':>6}")
        for name in arguments.families:
            alone = name in ("kills", "streams", "writers")
            count = arguments.processes if alone else arguments.cases
            total, failed = tried(name, commands, count, arguments.seed)
            print(f"{name:16} {total:6d} {total - len(failed):6d}", flush=True)
            if arguments.verbose:
                for case, wrong in failed[:20]:
                    print(f"    {wrong}    {str(case)[:120]}", flush=True)


def _stand_ins(folder):
    """The networks that the tests of a repository use."""
    import conftest

    from maxitools.classes import NAMES

    half = dict.fromkeys(NAMES, 0.5)
    tenth = dict.fromkeys(NAMES, 0.1)
    conftest.write_network(
        folder / "maximask",
        "mask",
        conftest._mask_logits,
        classes=NAMES,
        tile=192,
        halo=32,
        multiple=32,
        training_priors=tenth,
        default_priors=tenth,
        thresholds=half,
    )
    aggregation = {"gain": 1.0, "offset": 0.0}
    conftest.write_network(
        folder / "maxitrack",
        "track",
        conftest._track_answers,
        tile=128,
        multiple=32,
        aggregation=aggregation,
    )
    return folder


if __name__ == "__main__":
    main()
