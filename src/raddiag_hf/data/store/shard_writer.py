"""Write one shard of a case data set."""

import io
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from datasets import Features

from raddiag_hf.core.atomic_files import atomic_write
from raddiag_hf.data.store.case_store import PIXEL_COLUMN, CaseStorageError

ROW_GROUP_CASES = 16
"""Random access reads a whole row group; larger ones make it slower."""
ROW_GROUP_BYTES = 2**28
LARGEST_CASE_BYTES = 2**31 - 2**24
"""One Arrow array of bytes holds less than 2 GiB."""


def write_shard(path: Path, rows: Iterable[Mapping[str, Any]], features: Features) -> int:
    """Write encoded cases as one Parquet file, whole or not at all, and return how many.

    Only one row group is in memory at a time.

    Args:
        path: The shard; its folder exists.
        rows: Rows of `encode_case`.
        features: Their columns; class names go into the file's schema.

    Raises:
        CaseStorageError: If one case takes more than 2 GiB compressed.
    """
    schema = features.arrow_schema
    small_columns = _columns_without_pixels(schema)
    written, group_bytes = 0, 0
    group: list[Mapping[str, Any]] = []
    with (
        atomic_write(path) as temporary,
        pq.ParquetWriter(
            temporary,
            schema,
            compression=dict.fromkeys(small_columns, "zstd"),  # pixels are compressed already
            use_dictionary=small_columns,
            write_statistics=small_columns,
            write_page_checksum=True,
            use_content_defined_chunking=True,  # the Hub then stores only what changed
        ) as writer,
    ):
        for row in rows:
            num_bytes = sum(len(scan["volume"]["data"]) for scan in row["scans"])
            if num_bytes > LARGEST_CASE_BYTES:
                raise CaseStorageError(
                    f"case {row['case_id']!r}: takes {num_bytes / 2**30:.1f} GiB compressed, at "
                    "most 2 fit; store fewer slices (max_slices) or pixels (max_side)"
                )
            if group and (
                len(group) == ROW_GROUP_CASES or group_bytes + num_bytes > ROW_GROUP_BYTES
            ):
                writer.write_table(pa.Table.from_pylist(group, schema=schema))
                group, group_bytes = [], 0
            group.append(row)
            group_bytes += num_bytes
            written += 1
        if group:  # `datasets` cannot read a row group without rows
            writer.write_table(pa.Table.from_pylist(group, schema=schema))
    return written


def _columns_without_pixels(schema: pa.Schema) -> list[str]:
    file = io.BytesIO()
    pq.write_table(schema.empty_table(), file)
    columns = pq.ParquetFile(file).schema
    paths = [columns.column(index).path for index in range(len(columns))]
    return [path for path in paths if path != PIXEL_COLUMN]
