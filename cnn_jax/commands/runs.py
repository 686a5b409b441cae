"""All runs below a folder: as a table, side by side, as CSV, JSON or an HTML page with charts.

cnn_jax runs runs
cnn_jax runs runs --filter='optimizer.learning_rate > 0.01 and model.name == "cnn"' --sort=-validation_accuracy
cnn_jax runs runs --compare digits again          figures and the keys in which they differ
cnn_jax runs runs --html=runs.html                curves, parallel coordinates, importance of hyperparameters
"""

from collections.abc import Sequence
from pathlib import Path

from cnn_jax.cli import command_line


def main(argv: Sequence[str]) -> None:
    parser = command_line.Parser(__doc__)
    parser.add_argument("folder", metavar="DIR", help="a folder with run directories at any depth")
    parser.add_argument("--filter", metavar="TEXT", help="only runs that fulfil this condition on columns")
    parser.add_argument(
        "--sort",
        metavar="COLUMNS",
        default="-validation_accuracy",
        help="such as test_loss,-epoch (default: %(default)s)",
    )
    parser.add_argument("--columns", metavar="COLUMNS", help="such as run,test_accuracy,optimizer.name")
    parser.add_argument("--compare", nargs="+", metavar="RUN", help="only these runs, side by side")
    parser.add_argument(
        "--test", action="store_true", help="show test figures where several configs were tried on the same data, too"
    )
    parser.add_argument("--csv", metavar="FILE", help="all columns of these runs, as CSV")
    parser.add_argument("--json", action="store_true", help="print all columns of these runs as JSON instead")
    parser.add_argument("--html", metavar="FILE", help="write the page of all runs below DIR")
    parser.add_argument("--metric", default="validation_accuracy", help="of the page (default: %(default)s)")
    parser.add_argument("--goal", choices=("maximize", "minimize"), help="of the page (default: minimize for losses)")
    arguments = parser.parse(argv)

    import shutil

    from cnn_jax.runs.overview import compared, overview
    from cnn_jax.runs.search import chosen, run_records
    from cnn_jax.runs.tables import as_json, write_csv

    folder = Path(arguments.folder)
    every = run_records(folder)
    known = arguments.sort != parser.get_default("sort") or any("validation_accuracy" in record for record in every)
    order = [name for name in arguments.sort.split(",") if name.strip()] if known else []
    records = chosen(every, arguments.filter, order)
    show_test = arguments.test or any("test_" in name for name in order)  # who sorts by them asks for them
    width = shutil.get_terminal_size((160, 24)).columns
    if arguments.json:
        text = as_json(records)
    elif arguments.compare:
        text = compared(records, arguments.compare, width, show_test, folder)
    elif records:
        text = overview(records, arguments.columns, width, show_test, folder)
    else:
        text = f"{arguments.folder}: no runs" + (" that fulfil the condition" if every else "")
    page = None
    if arguments.html:  # before anything is printed: it may be refused
        from cnn_jax.pages.runs import write_runs_page

        goal = arguments.goal or ("minimize" if "loss" in arguments.metric else "maximize")
        page = write_runs_page(arguments.folder, arguments.html, arguments.metric, goal, arguments.test)
    if arguments.csv:
        write_csv(records, arguments.csv)
    print(text)
    if page is not None and not arguments.json:
        print(f"written: {page}")
