"""Importing label models is cheap: heavy libraries are loaded where they are used."""

import subprocess
import sys


def test_nothing_heavy_is_imported():
    code = "import sys, groundswell.label_models; print(sorted({'torch', 'scipy', 'sklearn', 'pandas', 'duckdb'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_fitting_needs_no_torch():
    code = (
        "import sys, numpy as np, groundswell.label_models as lm\n"
        "p, _ = lm.VotePatterns.from_matrix(np.array([[0, 1, 1], [1, 1, 0], [0, 0, 0]]), ('a', 'b', 'c'), ('n', 'p'))\n"
        "[lm.label_model(name).fit(p).predict(p) for name in lm.label_models()]\n"
        "print(sorted({'torch', 'sklearn', 'pandas', 'duckdb'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
