"""``impasto study``: declared experiments with honest statistics."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from impasto.cli.console import AsJson, Quiet, err, out, print_json, progress_bar, remark
from impasto.runtime import human_bytes, human_time

if TYPE_CHECKING:
    from impasto.study import Analysis, Engine

app = typer.Typer(help="Does it help, and how sure are we? Declared experiments, run and judged.", no_args_is_help=True)
_ENGINES = ("local", "ray")


def register(program: typer.Typer) -> None:
    """Add the commands to the program."""
    app.command("list")(show)
    app.command("run")(run)
    app.command("report")(report)
    program.add_typer(app, name="study", rich_help_panel="Judge")


def show(
    name: Annotated[str | None, typer.Argument(help="Print one study file, to be changed.", show_default=False)] = None,
    as_json: AsJson = False,
) -> None:
    """List the studies that come with impasto, or print one."""
    from impasto.study import bundled
    from impasto.study.reading import read_study, read_text, study_table

    if name:
        if as_json:
            print_json(study_table(read_study(name)))
        else:
            read_study(name)
            typer.echo(read_text(name))
        return
    studies = bundled()
    if as_json:
        print_json(
            {key: {"title": item.title, "version": item.version, "task": item.task} for key, item in studies.items()}
        )
        return
    table = Table("name", "version", "what it asks", box=None)
    for key, item in studies.items():
        table.add_row(key, item.version, item.question)
    out.print(table)


def run(
    study: Annotated[str, typer.Argument(help="A name of `impasto study list`, or a .toml file.", show_default=False)],
    data: Annotated[Path, typer.Option("--data", help="Folder of photos.", show_default=False)],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="A new folder, or that of the same run.", show_default="<study>"),
    ] = None,
    styles: Annotated[Path | None, typer.Option("--styles", "-s", help="Folder of style pictures.")] = None,
    changes: Annotated[
        list[str] | None, typer.Option("--set", help="Change the study: split.draws=50; may be given again.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what it would cost and could show.")] = False,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Processes; the result is the same.", show_default="one for each core")
    ] = None,
    engine: Annotated[str, typer.Option(help="local, or ray: a cluster that runs already.")] = "local",
    address: Annotated[str, typer.Option(help="Of the Ray cluster.")] = "auto",
    device: Annotated[str, typer.Option("--device", help="auto, cpu, cuda, cuda:1, mps.")] = "auto",
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Run a study: repaint, teach, test, compare, report. Killed at any moment, the same command goes on."""
    import tempfile

    from impasto.report.study import write_study_report
    from impasto.study import StudyRun, analyse, plan_study, read_study

    read = read_study(study, changes or ())
    folder = output or Path(read.name.lower())
    hidden = quiet or as_json
    with tempfile.TemporaryDirectory() as elsewhere, progress_bar(hidden) as on_progress:
        # A dry run leaves nothing behind, not even a folder.
        is_new = not folder.exists() or (folder.is_dir() and not any(folder.iterdir()))
        place = Path(elsewhere) / "study" if dry_run and is_new else folder
        doer = _engine(engine, address, workers)
        opened = StudyRun(read, data, styles, place, device, on_progress)
        _tell_aside(opened.bench.pool.aside, hidden)
        if dry_run or not opened.run.finished:
            plan = plan_study(opened, doer.workers, timed=dry_run or bool(read.budget.minutes))
            for line in plan.lines():
                remark(line, hidden=hidden)
        if dry_run:
            if as_json:
                print_json(plan)
            raise typer.Exit
        result = opened.perform(doer)
    page = write_study_report(folder)
    _print(analyse(result), page, quiet, as_json)


def report(
    study: Annotated[Path, typer.Argument(help="Folder that `impasto study run` wrote.", show_default=False)],
    beside: Annotated[
        list[Path] | None, typer.Argument(help="Others to set beside it: the literal version.", show_default=False)
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="The HTML file.", show_default="report.html in the folder")
    ] = None,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Write the report of a finished study, once more or beside others."""
    from impasto.report.study import write_study_report
    from impasto.study import analyse, load_result

    page = write_study_report(study, output, beside or ())
    _print(analyse(load_result(study)), page, quiet, as_json)


def _engine(name: str, address: str, workers: int | None) -> Engine:
    import os

    from impasto.errors import UnknownNameError, UsageError
    from impasto.study import LocalEngine, RayEngine

    if name not in _ENGINES:
        raise UnknownNameError("engine", name, _ENGINES)
    if name == "local":
        return LocalEngine(workers or os.cpu_count() or 1)
    if workers is not None:
        raise UsageError("a Ray cluster has as many workers as cores.", "Leave --workers out.")
    return RayEngine(address)


def _tell_aside(aside: tuple[tuple[str, str], ...], hidden: bool) -> None:
    if not hidden:
        for name, reason in aside[:20]:
            err.print(f"set aside: {name} {reason}", highlight=False, markup=False)
        if len(aside) > 20:
            err.print(f"and {len(aside) - 20} more, see rejected.csv", highlight=False, markup=False)


def _print(analysis: Analysis, page: Path, quiet: bool, as_json: bool) -> None:
    from impasto.study import verdict

    result = analysis.result
    if as_json:
        print_json(
            {
                "report": page,
                "verdict": verdict(analysis),
                "comparisons": {name: _record(item) for name, item in analysis.comparisons.items()},
                "failed": len(result.failed),
                "cost": result.cost,
            }
        )
        return
    if not quiet:
        _print_table(analysis)
        for sentence in verdict(analysis):
            out.print(sentence, highlight=False, markup=False)
        work = sum(result.cost["work"].values())
        remark(
            f"{human_time(work)} of work, {human_bytes(result.cost['memory'])} of memory in the largest process, "
            f"{human_bytes(result.cost['disk'])} on disk",
            hidden=False,
        )
    typer.echo(str(page))


def _record(item: Any) -> dict[str, Any]:
    return {
        "reference": item.arm.reference,
        "difference": item.difference.mean,
        "low": item.difference.low,
        "high": item.difference.high,
        "p": item.p,
        "finding": item.finding,
    }


def _print_table(analysis: Analysis) -> None:
    from impasto.study.arms import PRIMARY
    from impasto.study.words import told

    repaints = analysis.result.study.task == "repaints"
    score = "style distance" if repaints else "mean recall"
    table = Table("arm", score, "against its reference", "p (Holm)", "finding", box=None)
    for arm in analysis.result.arms:
        if arm.family != PRIMARY:
            continue
        own = analysis.scores[arm.name]
        value = f"{own.metric:.3f}" if repaints else f"{own.metric:.1%}".replace("%", " %")
        item = analysis.comparisons.get(arm.name)
        row = (told(item, repaints), f"{item.p:.3f}", item.finding) if item else ("", "", "")
        table.add_row(arm.name, value, *row)
    out.print(table)
