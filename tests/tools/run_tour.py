"""Runs docs/tour.ipynb in an empty folder, and stores it with what came out.

PYTHONPATH=$PWD python tests/tools/run_tour.py          with an interpreter that has nbclient, ipykernel and the package
"""

import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient

TOUR = Path(__file__).parents[2] / "docs/tour.ipynb"
_KEPT = {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}}


def main() -> None:
    tour = nbformat.read(TOUR, as_version=4)
    with tempfile.TemporaryDirectory() as folder:
        where = {"metadata": {"path": folder}}
        # Coalesced, a bar that was wiped out leaves only spaces.
        NotebookClient(tour, timeout=600, coalesce_streams=True, record_timing=False, resources=where).execute()
    tour.metadata = nbformat.from_dict(_KEPT)
    for cell in tour.cells:
        if cell.cell_type == "code":
            for output in cell.outputs:
                if output.output_type == "stream":
                    output.text = output.text.rstrip() + "\n"
            cell.outputs = [output for output in cell.outputs if output.get("text") != "\n"]
    nbformat.write(tour, TOUR)


if __name__ == "__main__":
    main()
