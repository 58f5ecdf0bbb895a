"""Runs exported views in a local Spark session: a JSON object per line in, one per line out. Started by engines.Spark; needs pyspark only."""

import json
import math
import sys
from pathlib import Path

from pyspark.sql import SparkSession


def plain(value):
    """A value JSON can hold."""
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def main() -> None:
    spark = (
        SparkSession.builder.master("local[2]")
        .config("spark.ui.enabled", "false")
        .config("spark.sql.shuffle.partitions", "2")
        .config("spark.sql.session.timeZone", "UTC")
        .config("spark.driver.bindAddress", "127.0.0.1")
        .config("spark.driver.host", "127.0.0.1")
        .getOrCreate()
    )
    for line in sys.stdin:
        asked, answer = json.loads(line), {"rows": []}
        try:
            if "load" in asked:
                for path in sorted(Path(asked["load"]).glob("*.parquet")):
                    spark.read.parquet(str(path)).createOrReplaceTempView(f"`{path.stem}`")
            else:
                spark.sql(f"CREATE OR REPLACE TEMPORARY VIEW exported AS\n{asked['query']}")
                answer["rows"] = [{k: plain(v) for k, v in row.asDict().items()} for row in spark.table("exported").collect()]
        except Exception as error:  # the caller shows it
            answer = {"error": str(error)[:3000]}
        print(json.dumps(answer, default=str), flush=True)
    spark.stop()


main()
