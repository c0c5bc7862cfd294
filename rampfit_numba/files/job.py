"""What is asked for: the options of a fit of files, checked as far as that is possible before a file is read."""

from __future__ import annotations

import logging
import os
import threading
from concurrent.futures import Executor
from contextlib import nullcontext
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rampfit_numba._version import __version__
from rampfit_numba.checks import check_path, check_unit
from rampfit_numba.engine.cores import count_workers
from rampfit_numba.engine.memory import memory_budget
from rampfit_numba.files.clients import client_of
from rampfit_numba.files.results import FilesOfFits
from rampfit_numba.io.fits import check_outputs
from rampfit_numba.io.formats import FORMATS, Destination, find_format
from rampfit_numba.io.outputs import Inputs
from rampfit_numba.io.places import Places
from rampfit_numba.io.reference_files import ReferenceFiles
from rampfit_numba.io.reference_names import check_file
from rampfit_numba.io.references import ReferenceImage, reference_for, resolve_reference
from rampfit_numba.messages import RampFileError, printable
from rampfit_numba.options import FitOptions
from rampfit_numba.registry import find_algorithm
from rampfit_numba.units import rate_unit

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager

    from rampfit_numba.exposure import Exposure
    from rampfit_numba.files.results import FittedFile
    from rampfit_numba.io.formats import Format

log = logging.getLogger(__package__)

#: What may be given to the functions for files as options: those of a fit, and how it is run.
_FIT_OPTIONS = tuple(option.name for option in fields(FitOptions))
RUN_OPTIONS = ("maximum_cores", "executor", "progress", "max_memory")
#: Last parts of paths that only folders have.
_OF_FOLDERS = ("", "..")
#: Held while a file is read or written that no other may be meanwhile.
_reading = threading.Lock()
#: Those of single kinds of files.
_FORMAT_OPTIONS = tuple(name for kind in FORMATS for name in kind.own_options)
_PATH_OPTIONS = tuple(name for kind in FORMATS for name in kind.path_options)


@dataclass(frozen=True)
class Job:
    """What is asked for, checked as far as that is possible before a file is read.

    Attributes
    ----------
    references : dict
        Read noise and gain, as :func:`rampfit_numba.io.references.resolve_reference` returns them; None: the kind's.
    destination : Destination
    options : dict
        Those of the fit, of kinds of files, and of how it is run.
    formats : dict
        The kind of each file.
    on_fit : callable, optional
    skip_existing : bool
        Files whose products are up to date are not fitted.
    reference_files : ReferenceFiles
        What was read of those that are files, for all exposures.
    """

    references: dict[str, Any]
    destination: Destination
    options: dict[str, Any]
    formats: dict[Path, Format]
    on_fit: Callable[[FittedFile], None] | None = None
    skip_existing: bool = False
    reference_files: ReferenceFiles = field(default_factory=ReferenceFiles)

    @classmethod
    def checked(
        cls,
        files: Sequence[Path],
        readnoise: Any,  # noqa: ANN401
        gain: Any,  # noqa: ANN401
        destination: Destination,
        options: dict[str, Any],
        *,
        on_fit: Callable[[FittedFile], None] | None = None,
        skip_existing: bool = False,
    ) -> Job:
        """Check the arguments of fit_file and fit_files; raises as they say."""
        if on_fit is not None and not callable(on_fit):
            raise TypeError(f"on_fit: expected a function or None; got {on_fit!r}")
        formats = {path: find_format(path) for path in files}
        _check_options(options)
        _check_paths(formats, {"readnoise": readnoise, "gain": gain})
        for path, kind in formats.items():
            if destination.save_jumps and not kind.tables_jumps:
                raise ValueError(printable(f"save_jumps: not for {kind.name} files like {path}"))
        for argument, name in (("int_name", destination.int_name), ("opt_name", destination.opt_name)):
            if name and len(files) > 1:
                raise ValueError(f"{argument}: can name the products of one file only; got {len(files)} files")
        if destination.folder.exists() and not destination.folder.is_dir():
            raise RampFileError(f"output_dir: {destination.folder} is no folder")
        references = {
            name: None if reference is None else resolve_reference(reference, name)
            for name, reference in (("readnoise", readnoise), ("gain", gain))
        }
        options = options | _paths_in(options)
        named = (value for value in (*references.values(), *options.values()) if isinstance(value, Path))
        inputs = Inputs((*files, *named))
        job = cls(
            references,
            replace(destination, inputs=inputs),
            options,
            formats,
            on_fit,
            skip_existing,
        )
        job.refuse_same_products(files)

        log.info("rampfit_numba %s", __version__)
        if destination.opt_name and not options.get("save_opt"):
            log.warning("opt_name has no effect without save_opt")
        return job

    def for_each_of(self, files: int, budget: int) -> Job:
        """Return what is asked for where so many files are fitted at once, and not rows: they share a budget."""
        each = {"maximum_cores": "none", "executor": None, "max_memory": max(budget // files, 1)}
        return replace(self, options=self.options | each)

    def for_file(self, path: Path) -> Job:
        """Return what is asked for of one file, to be done by one worker anywhere: it can be pickled."""
        options = {
            name: value for name, value in self.options.items() if name not in RUN_OPTIONS or name == "max_memory"
        }
        return replace(self, options=options, formats={path: self.formats[path]}, on_fit=None)

    def alone(self, kind: Format) -> AbstractContextManager[object]:
        """Return what is to be held while a file of a kind is read or written."""
        return _reading if kind.alone else nullcontext()

    def fit_options(self, kind: Format) -> dict[str, Any]:
        """Return the options of the fit of a file: what is not said is as usual for its kind."""
        usual = {"algorithm": kind.algorithm, "readnoise_kind": kind.readnoise_kind}
        options = usual | {name: value for name, value in self.options.items() if name in _FIT_OPTIONS}
        algorithm = find_algorithm(str(options["algorithm"]))
        if algorithm and "rejection_threshold" in algorithm.own_options and options.get("rejection_threshold") is None:
            options["rejection_threshold"] = kind.rejection_threshold
        return options

    def format_options(self, kind: Format) -> dict[str, Any]:
        """Return the options that only this kind of file has; refuses those of another one."""
        given = {name: value for name, value in self.options.items() if name in _FORMAT_OPTIONS}
        for name in given:
            if name not in kind.own_options:
                owners = ", ".join(other.name for other in FORMATS if name in other.own_options)
                raise ValueError(f"{name}: only for {owners} files; this is one of {kind.name}")
        return given

    def check_products(self, path: Path, kind: Format, options: FitOptions) -> None:
        """Refuse what the products of an exposure could not or must not be written to; raises as `fit_file` says."""
        planned = kind.paths(path, self.destination, options)
        check_outputs(planned.values(), overwrite=self.destination.overwrite, inputs=self.destination.inputs)

    def check_table(self, path: Path) -> None:
        """Refuse a table of the files that could not be written, or would stand in the place of another file."""
        if "\0" in str(path):
            raise ValueError(f"summary: expected a name that a file can have; got {str(path)!r}")
        check_outputs([path], overwrite=self.destination.overwrite, inputs=self.destination.inputs)
        places = Places()
        outputs = {places.of(output) for file in self.formats for output in self._outputs(file)}
        if outputs & {places.of(path), places.of(Path(os.path.realpath(path)))}:
            raise ValueError(printable(f"summary: expected the name of no product; got {path}"))

    def _outputs(self, path: Path) -> list[Path]:
        """Return what will be written of a file: its products, and what is made of its fit."""
        kind = self.formats[path]
        products = kind.paths(path, self.destination, FitOptions(**self.fit_options(kind))).values()
        return [*products, *(self.on_fit.products(path) if isinstance(self.on_fit, FilesOfFits) else ())]

    def refuse_same_products(self, files: Sequence[Path]) -> None:
        """Refuse files that would be written to the same product, or to the same one where case makes no difference."""
        sources: dict[tuple[str, str], tuple[Path, str]] = {}
        places = Places()
        for path in files:
            for product in self._outputs(path):
                place = places.of(product)
                if place not in sources:
                    sources[place] = path, product.name
                    continue
                other, name = sources[place]
                both = printable(f"paths: {other} and {path}")
                if name == product.name:
                    raise ValueError(f"{both} would both be written to {printable(name)}; fit them one by one")
                raise ValueError(
                    f"{both} would be written to {printable(f'{name} and {product.name}')}, which are one file on "
                    "many systems; rename one, or fit them into different folders"
                )

    def reference(self, name: str, exposure: Exposure, kind: Format) -> ReferenceImage:
        """Return the read noise or the gain for an exposure: the one that was given, or the one that its kind has."""
        if self.references[name] is not None:
            return reference_for(self.references[name], exposure, name, self.reference_files)
        return kind.default_reference(exposure, name)


def _check_paths(formats: dict[Path, Format], references: dict[str, Any]) -> None:
    """Refuse folders after which no product can be named, and files without a reference that they need."""
    for path in formats:
        if path.name in _OF_FOLDERS:
            check_file(path)
    needing = [path for path, kind in formats.items() if not kind.brings_references]
    for name, reference in references.items():
        if reference is None and needing:
            for path in needing:
                check_file(path)  # what is not there needs no reference
            raise ValueError(
                f"{name}: expected a reference file or a number, since {formats[needing[0]].name} files like "
                f"{printable(str(needing[0]))} do not tell it; got none"
            )


def _paths_in(options: dict[str, Any]) -> dict[str, Path]:
    """Return the options that name a file as paths, by which whoever runs the job knows them; refuse what is none."""
    given = {name: value for name in _PATH_OPTIONS if isinstance(value := options.get(name), str | os.PathLike)}
    paths = {name: check_path(name, value) for name, value in given.items()}
    for path in paths.values():
        check_file(path)
    return paths


def _check_options(options: dict[str, Any]) -> None:
    """Refuse names that no option has, and how a fit cannot be run."""
    known = (*_FIT_OPTIONS, *RUN_OPTIONS, *_FORMAT_OPTIONS)
    for name in options:
        if name not in known:
            raise TypeError(f"{name}: unknown option; expected some of {', '.join(known)}")
    check_unit("dark_current_unit", options.get("dark_current_unit"), rate_unit)
    count_workers(options.get("maximum_cores", "none"), 1, available=1)
    memory_budget(options.get("max_memory"))
    executor = options.get("executor")
    known_executor = isinstance(executor, Executor) or client_of(executor) is not None
    if not known_executor and executor not in (None, "processes", "threads"):
        raise ValueError(
            f"executor: expected None, 'processes', 'threads', an Executor or a Dask client; got {executor!r}"
        )


def make_destination(
    output_dir: str | os.PathLike[str] | None, *, overwrite: bool, save_jumps: bool, names: tuple[str, str]
) -> Destination:
    """Return where the products go; `names` are those of rateints and the optional product."""
    folder = Path.cwd() if output_dir is None else check_path("output_dir", output_dir)
    if "\0" in str(folder):
        raise ValueError(f"output_dir: expected a name that a folder can have; got {str(folder)!r}")
    return Destination(folder, overwrite, *names, save_jumps=save_jumps)
