"""What `test_spark.py` starts: it knows Spark, and nothing of Dagster."""

import json
import sys

from pyspark.sql import SparkSession
from pyspark.sql.functions import sum as total


def add_up() -> None:
    properties, source, target = sys.argv[1:]
    builder = SparkSession.builder.master("local[1]").appName("add_up")
    for name, value in json.loads(properties).items():
        builder = builder.config(name, value)
    session = builder.getOrCreate()
    orders = session.read.json(source, schema="shop int, pieces int")
    orders.groupBy("shop").agg(total("pieces").alias("pieces")).write.parquet(target)
    session.stop()


if __name__ == "__main__":
    add_up()
