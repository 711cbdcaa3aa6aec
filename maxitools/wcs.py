"""The world coordinates of an image -> those of its masks."""

import re
from contextlib import suppress
from math import comb

import numpy as np

# Cards of coordinates, as FITS and the conventions for distortions name them.
OF_WCS = re.compile(
    r"(WCSAXES|WCSNAME|RADESYS|EQUINOX|LONPOLE|LATPOLE|SPECSYS|VELREF|RESTFRQ|RESTWAV)[A-Z]?"
    r"|(CTYPE|CUNIT|CRVAL|CDELT|CRPIX|CROTA|CNAME|CRDER|CSYER|CPDIS|CPERR|CQDIS|CQERR)\d+[A-Z]?"
    r"|(PC|CD)\d+_\d+[A-Z]?|(PV|PS)\d+_\d+[A-Z]?|(DP|DQ)\d+.*|(D2IM|AXISCORR).*"
    r"|(A|B|AP|BP)_(ORDER|DMAX|\d+_\d+)|RADECSYS|PC\d{6}|(LTV|LTM|ATV|ATM)\d.*|WAT\d_\d+|WCSDIM"
)
# With the number of an axis.
_OF_AXIS = re.compile(r"(?:CTYPE|CRVAL|CRPIX|CDELT|CUNIT|(CD|PC)\d+_)(\d+)([A-Z]?)")
# The terms of a TPV distortion by degree; those in between are radial.
_TPV = [0], [1, 2], [4, 5, 6], [*range(7, 11)], [*range(12, 17)], [*range(17, 23)]
_TPV += [*range(24, 31)], [*range(31, 39)]


def add_axes(header, naxis):
    """
    Add linear axes to the coordinates of an image, where it has some.

    A SIP distortion, for which astropy and others want two axes and no more, becomes the same
    distortion in the TPV convention.

    Parameters
    ----------
    header : astropy.io.fits.Header
        Of the image; changed in place.
    naxis : int
        Number of axes that there are now. The last one counts the classes from 1.
    """
    described, with_matrix = {}, set()
    for keyword in header:
        if match := _OF_AXIS.fullmatch(keyword):
            version = match[3]
            described[version] = max(described.get(version, 0), int(match[2]))
            if match[1] == "CD":
                with_matrix.add(version)
    for version, axes in described.items():
        declared = f"WCSAXES{version}"
        axes = max(axes, header.get(declared, 0))
        for axis in range(axes + 1, naxis + 1):
            step = f"CD{axis}_{axis}" if version in with_matrix else f"CDELT{axis}"
            header[f"CTYPE{axis}{version}"] = "CLASS" if axis == naxis else ""
            header[f"CRPIX{axis}{version}"] = 1.0
            header[f"CRVAL{axis}{version}"] = 1.0
            header[f"{step}{version}"] = 1.0
        if declared in header:
            header[declared] = max(axes, naxis)
    if "A_ORDER" in header and "B_ORDER" in header:
        # Coordinates that make no sense stay as they are.
        with suppress(TypeError, ValueError, np.linalg.LinAlgError):
            _sip_to_tpv(header)


def _sip_to_tpv(header):
    """
    Write a SIP distortion as a TPV one.

    Both are polynomials about the reference pixel, before (SIP; Shupe et al. 2005, ASPC 347,
    491) and after (TPV) the linear transformation to intermediate world coordinates.
    """
    names = "A", "B"
    types = [str(header.get(f"CTYPE{i}", "")) for i in (1, 2)]
    orders = [header[f"{name}_ORDER"] for name in names]
    if not all(t.endswith("-TAN-SIP") for t in types) or max(orders) >= len(_TPV):
        return
    matrix = np.array([[_linear(header, i, j) for j in (1, 2)] for i in (1, 2)])
    degree = max(1, *orders)
    # pixels[axis][p, q]: what x^p y^q adds to the pixel coordinate, x and y in degrees.
    inverse = np.linalg.inv(matrix)
    pixels = np.zeros((2, degree + 1, degree + 1))
    for axis, name in enumerate(names):
        for i in range(degree + 1):
            for j in range(degree + 1 - i):
                factor = header.get(f"{name}_{i}_{j}", 0.0) + ((i, j) == (1 - axis, axis))
                pixels[axis] += factor * _product(inverse, i, j, degree)
    world = np.einsum("ab,bpq->apq", matrix, pixels)
    for keyword in list(header):
        if re.fullmatch(r"(A|B|AP|BP)_(ORDER|DMAX|\d+_\d+)|PV[12]_\d+", keyword):
            del header[keyword]
    for axis in (0, 1):
        header[f"CTYPE{axis + 1}"] = types[axis].replace("-TAN-SIP", "-TPV")
        for total, terms in enumerate(_TPV[: degree + 1]):
            for place, term in enumerate(terms):
                # Each axis counts the powers of its own coordinate first.
                p, q = total - place, place
                value = world[axis, p, q] if axis == 0 else world[axis, q, p]
                if value or term == 1:
                    header[f"PV{axis + 1}_{term}"] = float(value)


def _linear(header, i, j):
    """An element of the matrix from pixels to degrees, however the header writes it."""
    if any(f"CD{a}_{b}" in header for a in (1, 2) for b in (1, 2)):
        return header.get(f"CD{i}_{j}", 0.0)
    return header.get(f"CDELT{i}", 1.0) * header.get(f"PC{i}_{j}", float(i == j))


def _product(inverse, i, j, degree):
    """Coefficients in x and y of u^i v^j, with (u, v) = inverse (x, y)."""
    result = np.zeros((degree + 1, degree + 1))
    (a, b), (c, d) = inverse
    for k in range(i + 1):
        for m in range(j + 1):
            value = comb(i, k) * a ** (i - k) * b**k * comb(j, m) * c ** (j - m) * d**m
            result[i - k + j - m, k + m] += value
    return result
